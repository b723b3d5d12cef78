"""Reads a company's database directly, as an auditor would, on a connection that each thread keeps.

Whoever waits for something asks every few milliseconds. To connect anew for each question took 3 ms of a processor on
SQLite, which reads its schema, and more on PostgreSQL: half a processor that the company could have worked with.
"""

import sqlite3
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import psycopg
from psycopg.rows import dict_row

Row = Mapping[str, object] | sqlite3.Row
Connection = sqlite3.Connection | psycopg.Connection


class Reader:
    """Of the database at ``url``, or else of the file at ``path``. Holds no lock between two questions."""

    def __init__(self, path: Path, url: str = "") -> None:
        self._path, self._url = path, url
        self._kept = threading.local()

    def rows(self, query: str, values: Sequence[object]) -> Sequence[Row]:
        """Return what the database answers. Raises OperationalError of its driver when nobody answers."""
        if not self._url:
            return self._connection().execute(query, values).fetchall()
        query = query.replace("?", "%s")
        try:
            return self._connection().execute(query, values).fetchall()
        except psycopg.OperationalError:
            # Perhaps of a server that was killed and is there again.
            self._kept.connection = None
            return self._connection().execute(query, values).fetchall()

    def _connection(self) -> Connection:
        if (kept := getattr(self._kept, "connection", None)) is None:
            kept = self._kept.connection = self._connected()
        return kept

    def _connected(self) -> Connection:
        if self._url:
            return _Server.connect(self._url, row_factory=dict_row, autocommit=True)
        file = sqlite3.connect(
            f"file:{self._path}?mode=ro", uri=True, timeout=20, check_same_thread=False, factory=_File
        )
        file.row_factory = sqlite3.Row
        return file


# A connection ends with the thread, or the company, that it belonged to: that is no leak, of which both would warn.
class _Server(psycopg.Connection):
    def __del__(self) -> None:
        self.close()


class _File(sqlite3.Connection):
    def __del__(self) -> None:
        self.close()
