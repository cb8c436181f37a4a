"""Audio formats: encoded as it is spoken, decoded in confined children."""
