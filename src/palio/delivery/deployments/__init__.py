"""Deployments: a version placed behind an endpoint, watched, and taken back where it fails."""
