"""For tests, yours too: a store in memory, fakes, and the suite that every store must pass."""
