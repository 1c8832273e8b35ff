"""What is seen of a running Palio."""
