"""Programs of others that Mission Control is measured against, each installed into a venv of its own under var/."""
