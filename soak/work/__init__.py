"""What people do: the plan of a seed, and how it is played."""
