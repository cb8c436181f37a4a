"""Every ending of speech, in every dialect, over real sockets: bytes, words and credits agree."""
