"""What `porchflow install` and `porchflow uninstall` do: choose, check, apply, remember, take away."""
