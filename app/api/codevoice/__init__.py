"""CodeVoice's own dialect."""
