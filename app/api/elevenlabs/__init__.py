"""ElevenLabs' dialect: its SDKs work here unchanged, by their base URL."""
