"""The demo project: a small library, one issue, and what the rehearsal model does about it."""
