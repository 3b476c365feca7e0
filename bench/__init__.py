"""Side-by-side workloads: for development, never installed."""
