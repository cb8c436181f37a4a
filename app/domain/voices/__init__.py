"""Which voices there are, what they are called, and who speaks for a name."""
