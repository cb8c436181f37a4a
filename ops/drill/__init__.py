"""Fire drills: real faults in a running stack, and a real Prometheus that sees each alert come and go."""
