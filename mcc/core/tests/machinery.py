"""Real processes for tests: a cluster on the database of the tests, and looks at process trees."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.db import connection

from tests import processes


def wait_until(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def tree(pid: int) -> list[int]:
    """Return the living descendants of ``pid``."""
    found = []
    for child in processes.children(pid):
        found += [child, *tree(child)]
    return [pid for pid in found if is_alive(pid)]


def is_alive(pid: int) -> bool:
    """Whether ``pid`` runs; a zombie waits for its parent and does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def database_url() -> str:
    """Return the address of the tests' database for another process."""
    found = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{found['NAME']}"
    return f"postgres://{found['USER']}:{found['PASSWORD']}@{found['HOST']}:{found['PORT']}/{found['NAME']}"


class Cluster:
    """``manage.py qcluster`` with the errands and jobs of ``cluster_process``."""

    def __init__(self, data_dir: Path, **environment: str) -> None:
        environment = {
            **os.environ,
            "MCC_ROLE": "worker",
            "MCC_DATA_DIR": str(data_dir),
            "DATABASE_URL": database_url(),
            "SECRET_KEY": settings.SECRET_KEY,
            **environment,
        }
        command = [sys.executable, "-m", "mcc.core.tests.cluster_process"]
        self.process = subprocess.Popen(command, env=environment, cwd=settings.BASE_DIR, start_new_session=True)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def sentinel(self) -> int:
        return int(Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()[0])

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            for pid in [self.pid, *tree(self.pid)]:
                os.kill(pid, signal.SIGUSR1)  # each writes down where its threads stand
            time.sleep(1)
            raise

    def end(self) -> None:
        """Leave nothing behind."""
        for pid in tree(self.pid):
            os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
