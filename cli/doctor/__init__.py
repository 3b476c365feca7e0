"""`porchflow doctor`: checks that change nothing, one module per kind of subject; `run` has them all at once."""
