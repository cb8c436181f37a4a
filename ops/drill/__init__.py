"""Alert drills: real faults in a running stack, and a real Prometheus that sees each alert fire and clear."""
