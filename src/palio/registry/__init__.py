"""Models, their versions, the lifecycle they pass through, and the aliases that point at them."""
