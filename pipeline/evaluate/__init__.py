"""Evaluate: models to a report of metrics with intervals."""
