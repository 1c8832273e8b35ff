"""What is settled before the first unit comes: looks, samples, days."""
