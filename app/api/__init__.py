"""The API's dialects: thin handlers that decode a request, make one domain call and encode the result."""
