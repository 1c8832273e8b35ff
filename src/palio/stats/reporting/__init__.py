"""What is said of a metric, and of a table, all together."""
