"""`porchflow diff`: which two package revisions are meant, and how the difference is shown."""
