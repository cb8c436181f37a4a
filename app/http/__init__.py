"""What every HTTP request passes through: server, middleware, authentication, limits, bodies, errors."""
