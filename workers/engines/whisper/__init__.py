"""The Whisper recogniser."""
