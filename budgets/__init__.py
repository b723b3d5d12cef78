"""Accounts, limits and the ledger. Knows money, and nobody's name."""
