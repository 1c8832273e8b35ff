"""What data tell that a policy in motion has chosen."""
