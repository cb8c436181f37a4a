"""Child processes: started, supervised, stopped."""
