"""Answering requests: routes and models in memory, batches by the tick, recorded before told."""
