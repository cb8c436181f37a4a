"""What every HTTP request passes: server, middleware, authentication, limits, bodies, errors."""
