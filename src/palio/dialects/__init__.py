"""Contracts of other systems, each a thin face: parse, call one verb, render."""
