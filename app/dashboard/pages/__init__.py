"""The dashboard's pages: each a thin handler over one question or action of the domain."""
