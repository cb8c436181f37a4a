"""Operators' operations, which both the command line and `/api/admin` call.

Each takes a connection or session in a transaction and never commits. Amounts are micro-credits in arguments
and credits in results. Each operation writes a row to `cv.admin_act`.
"""
