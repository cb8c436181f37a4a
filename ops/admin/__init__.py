"""Operators' commands, a module a noun: thin shells over `app.domain.admin`."""
