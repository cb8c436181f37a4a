"""Operators' operations, which both the command line and `/api/admin` call.

Each takes a session in a transaction and never commits, but for erasures and checkpoints, which commit each
step. Amounts are micro-credits in arguments and credits in results. Each operation writes a row to
`cv.admin_act`.
"""
