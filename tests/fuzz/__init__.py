"""Input that a program makes up, for everything that reads text of strangers."""
