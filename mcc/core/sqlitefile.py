"""The file of the embedded database."""

from pathlib import Path

from django.db import connection


def keep_private() -> None:
    """Let nobody else on this machine read it: it holds sessions and password hashes, and the directory can be entered.

    SQLite gives its helper files the mode of the database. Does nothing on a server.
    """
    if connection.vendor != "sqlite":
        return
    path = Path(connection.settings_dict["NAME"])
    path.touch()
    for file in (path, *(path.with_name(f"{path.name}{ending}") for ending in ("-wal", "-shm"))):
        if file.exists():
            file.chmod(0o600)
