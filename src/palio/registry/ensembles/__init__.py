"""Versions that ask other versions and make one answer of theirs."""
