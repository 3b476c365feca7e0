"""`porchflow diff`: finds the two package revisions to compare, and prints the difference."""
