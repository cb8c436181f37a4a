"""Jobs in a worker: claimed, run, their results written; leases, maintenance, the broker."""
