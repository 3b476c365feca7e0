"""Random work and random faults against a stack of its own, and what must hold all the same."""
