"""Rules that hold however often one looks."""
