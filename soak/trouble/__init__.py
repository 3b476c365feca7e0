"""What goes wrong: the plan of a seed, and how it is made and mended."""
