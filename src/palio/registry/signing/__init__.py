"""Who vouches for the bytes of a version, in the form of OpenSSF Model Signing."""
