"""Train: tables, embeddings and graphs to a model."""
