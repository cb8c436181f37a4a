"""The text front-end: what is done to a text before an engine reads it. Pure; texts in, texts out."""
