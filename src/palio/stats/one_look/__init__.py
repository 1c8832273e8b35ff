"""Comparisons for one look that was fixed beforehand."""
