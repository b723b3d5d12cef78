"""The foundations: users, errors, money, queue, errands, live channel, secrets, audit. Imports no app."""
