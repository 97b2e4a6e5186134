"""Tables to embeddings: every item's text and picture as a unit vector, with what is missing."""
