"""Weights that move, and units that keep their variant."""
