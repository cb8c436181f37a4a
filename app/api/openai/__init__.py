"""OpenAI's dialect: its SDKs work here unchanged, by their base URL."""
