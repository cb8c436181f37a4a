"""Pages for people: each a thin handler over one question or act of the domain, drawn by a template."""
