"""Graph: interactions and embeddings to sparse graphs."""
