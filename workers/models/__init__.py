"""Models that are not packages: the catalogue of them, how they are fetched, and where they lie."""
