"""Operators' acts, once: the command line and `/api/admin` are two thin shells over them.

Each takes a connection or session in a transaction and never commits; amounts go in as micro-credits and
come out as credits. Each leaves a row of `cv.admin_act`.
"""
