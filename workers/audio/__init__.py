"""Audio formats: encoding while the engine speaks, decoding of uploads in confined children."""
