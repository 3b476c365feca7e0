"""`porchflow doctor`: checks that change nothing, one module per kind of subject; `all_checks` runs them at once."""
