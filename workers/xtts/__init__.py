"""XTTS v2 as an inference library: torch and coqui-tts alone, no record, no queue, no HTTP."""
