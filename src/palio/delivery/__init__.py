"""Endpoints: the stable addresses that clients call, and what answers there."""
