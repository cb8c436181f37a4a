"""Transcription: uploads, live sessions, transcripts kept for their owner."""
