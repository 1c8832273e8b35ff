"""Searching versions: a small language, an order, and pages that never repeat or miss."""
