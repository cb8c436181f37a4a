"""Jobs in a worker: claiming, running, writing results; leases, maintenance, the broker."""
