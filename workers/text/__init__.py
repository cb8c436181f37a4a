"""The text front-end: normalises a text before an engine reads it. Pure; texts in, texts out."""
