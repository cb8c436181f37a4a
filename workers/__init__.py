"""The machine room: claim, speak, encode, store, finish."""
