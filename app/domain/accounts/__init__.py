"""Accounts: sign-up, log-in, passwords, mail, invitations, API keys."""
