"""A database as all migrations leave it, made once for a whole run of the tests and then copied.

To migrate from nothing takes a processor a quarter of a minute, and each company, each process of pytest and each list
on PostgreSQL would do it again. It is done by ``manage.py migrate`` in a process of its own, by whoever asks first; the
others wait. Where no run has begun (``python -m tests.journeys``) everybody migrates, as a user's first start does.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUN = "MCC_TEST_RUN"
"""Names the directory of the run: the processes of xdist and the pytests of ``test_on_postgres`` inherit it."""
TEMPLATE = "MCC_TEST_TEMPLATE"
"""Names the database that a pytest on PostgreSQL copies."""
OURS = ("MCC_", "DATABASE_", "REDIS_")
"""How the names of the variables begin that make one company differ from another."""


def begin_run() -> Path | None:
    """Begin a run in this process, unless it is part of one; return its directory, to be given to ``end_run``."""
    if RUN in os.environ:
        return None
    # PostgreSQL's user must reach it, and pytest's own directories are private.
    directory = Path(tempfile.mkdtemp(prefix="mcc-test-run-", dir="/var/tmp"))
    directory.chmod(0o711)
    os.environ[RUN] = str(directory)
    return directory


def end_run(directory: Path) -> None:
    del os.environ[RUN]
    shutil.rmtree(directory)


def made_once(name: str, make: Callable[[Path], None]) -> Path | None:
    """Return what ``make`` once wrote in this run, a file or a directory; None: no run has begun."""
    if RUN not in os.environ:
        return None
    path = Path(os.environ[RUN]) / name
    with path.with_name(f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            draft = path.with_name(f"{name}.draft")
            make(draft)
            draft.rename(path)
    return path


def sqlite() -> Path | None:
    """Return the migrated file of this run; None: no run has begun."""
    return made_once("sqlite", _make_sqlite)


def sqlite_at(path: Path) -> bool:
    """Put a migrated file at ``path``, where there must be none; return whether there is one now."""
    if (made := sqlite()) is None:
        return False
    shutil.copyfile(made, path)
    return True


def _make_sqlite(path: Path) -> None:
    migrate(f"sqlite:///{path}")


def migrate(url: str) -> None:
    """Migrate that database in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    with tempfile.TemporaryDirectory(prefix="mcc-test-") as home:
        environment |= {"MCC_DATA_DIR": home, "MCC_IGNORE_DOTENV": "true", "DATABASE_URL": url}
        command = [sys.executable, "manage.py", "migrate", "-v", "0"]
        subprocess.run(command, cwd=ROOT, env=environment, check=True)
