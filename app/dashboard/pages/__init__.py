"""The dashboard's pages: each a thin handler over one query or action of the domain."""
