"""Records and documents to text and JSON. Nothing here computes a fact."""
