"""`porchflow demo`: a sample package from nothing to Published."""
