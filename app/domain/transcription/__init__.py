"""Transcription: uploads, live sessions, and stored transcripts."""
