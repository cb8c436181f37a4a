"""XTTS v2 as an inference library: torch and coqui-tts only; no database, no queue, no HTTP."""
