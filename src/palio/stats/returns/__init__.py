"""Returns over time."""
