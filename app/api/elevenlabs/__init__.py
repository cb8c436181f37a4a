"""ElevenLabs' dialect: its SDKs work unchanged when their base URL points to this server."""
