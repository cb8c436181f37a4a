"""YourVoic's dialect, under /api/v1."""
