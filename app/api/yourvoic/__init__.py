"""YourVoic's dialect, under /api/v1: rows 16 to 23."""
