"""From the event log to statistics, and back again to check them."""
