"""Operators' commands, one module per noun: thin wrappers around `app.domain.admin`."""
