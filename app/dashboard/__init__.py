"""The dashboard: pages for people, rendered from templates by thin handlers over the domain."""
