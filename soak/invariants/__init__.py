"""What must hold: each module looks at one thing, and returns what is violated."""
