"""Inbox, e-mail, chat channels, digests. Hears everything, is called by nobody."""
