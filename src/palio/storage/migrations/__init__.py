"""Migrations: every schema that was ever released, each a step to the next."""
