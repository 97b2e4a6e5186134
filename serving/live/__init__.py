"""What changes while the service runs, beside a bundle that never does."""
