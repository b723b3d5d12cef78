"""The REST API: what a person can do in the browser, for programs.

Everything but the token is here and not on the floors below, since what a caller may see hangs on memberships.
"""
