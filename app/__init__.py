"""The API server: HTTP requests in, domain calls, HTTP responses out."""
