"""Images, and what runs inside them alone."""
