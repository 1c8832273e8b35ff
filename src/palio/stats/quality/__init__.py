"""What makes a model good: losses in pairs, ranks, calibration, latency."""
