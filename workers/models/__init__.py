"""Models that are not packages: their catalogue, download and storage."""
