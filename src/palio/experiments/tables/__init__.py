"""Experiments whose data lies in a table."""
