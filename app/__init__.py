"""The front door: HTTP in, domain calls, HTTP out."""
