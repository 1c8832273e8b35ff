"""Experiments: a split with metrics and a stopping rule, that ends in a decision."""
