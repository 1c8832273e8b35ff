"""What is kept of units, and how it is removed."""
