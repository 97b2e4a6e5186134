"""Index: a model to a verified bundle that the service loads."""
