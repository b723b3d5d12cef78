"""Moving what was written from SQLite's log to its database, beside those who write.

SQLite itself lets whoever commits the thousandth page do it, and that one, with all who wait behind it, waits for the
disk twice: fifty to eighty milliseconds, every few seconds of busy times. Here a thread of its own does it, in every
process that stays; that several do is harmless. Where none runs SQLite still does it, later (``settings``).
"""

import logging
import sqlite3
import threading
from pathlib import Path

from django.db import connection

logger = logging.getLogger(__name__)

PAUSE_S = 1.0
LEAST_BYTES = 4 * 1024**2
MOST_BYTES = 48 * 1024**2
"""Of a log that is never quiet long enough to begin anew by itself: then writers are kept waiting for once."""
PATIENCE_S = 0.5


def keep() -> None:
    """Begin, in a thread that ends with the process. Does nothing on a server."""
    if connection.vendor == "sqlite":
        path = Path(connection.settings_dict["NAME"])
        threading.Thread(target=_keep, args=(path,), name="checkpoints", daemon=True).start()


def _keep(path: Path) -> None:
    pause = threading.Event()
    while not pause.wait(PAUSE_S):
        try:
            checkpoint(path)
        except (sqlite3.Error, OSError) as error:
            # Busy, or a disk without room: whoever writes will say so too. SQLite does it by itself if need be.
            logger.info("checkpoint: %s", error)


def checkpoint(path: Path) -> None:
    """Move what is in the log of the database at ``path``, if it is worth it. Readers and writers go on meanwhile."""
    log = path.with_name(f"{path.name}-wal")
    if not log.exists() or log.stat().st_size < LEAST_BYTES:
        return
    database = sqlite3.connect(path, timeout=PATIENCE_S, isolation_level=None)
    try:
        _, pages, moved = database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        # What somebody still reads cannot be moved: to wait for them would keep all who write waiting.
        if pages == moved and log.stat().st_size > MOST_BYTES:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        database.close()
