"""The one command: web and workers as children, looked after until somebody says stop.

    up ── web    daphne: pages, API, WebSockets
     '─── jobs   qcluster: sentinel ── workers (they host the runner), pusher, monitor

A child that ends is started again with back-off. A canary job shows whether jobs are still carried out; when none is,
the cluster is killed with all its processes and started afresh. When the supervisor is killed the kernel kills the web,
which has nothing to put down, and tells the jobs to end. Only the parent of the cluster gets SIGTERM: sent to the whole
group it dead-locks django-q2.
"""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connections
from django.utils import timezone

from mcc.core import lifeline, tasks
from mcc.core.models import Heartbeat
from mcc.core.queue import enqueue

logger = logging.getLogger(__name__)

LOOK_S = 0.2
STEADY_S = 60
"""A child that lived so long starts again at once."""
LONGEST_PAUSE_S = 30
STOP_S = 30
CANARY_S = 30


class Child:
    """A process that is kept running."""

    def __init__(self, name: str, command: list[str], role: str, *, orphaned: signal.Signals) -> None:
        """``orphaned``: what it is sent when the supervisor is killed."""
        self.name = name
        self._orphaned = orphaned
        self._command = command
        self._environment = {**os.environ, "MCC_ROLE": role}
        self._process: subprocess.Popen[bytes] | None = None
        self._failures = 0
        self._started_at = 0.0
        self._start_at = 0.0

    def start(self) -> None:
        """Start the process in a session of its own, so that Ctrl-C reaches only the supervisor."""
        self._started_at = time.monotonic()
        self._process = subprocess.Popen(
            self._command,
            env=self._environment,
            cwd=settings.BASE_DIR,
            start_new_session=True,
            # Safe: the supervisor has one thread.
            preexec_fn=partial(lifeline.die_with, os.getpid(), self._orphaned),
        )

    def look_after(self) -> bool:
        """Start the process again if it has ended and its pause is over; return whether it was started."""
        if self._process is None or self._process.poll() is None:
            return False
        now = time.monotonic()
        if not self._start_at:
            steady = now - self._started_at > STEADY_S
            self._failures = 0 if steady else self._failures + 1
            pause_s = 0 if steady else min(LONGEST_PAUSE_S, 0.25 * 2**self._failures)
            self._start_at = now + pause_s
            logger.warning("%s ended (%s); again in %.1f s", self.name, self._process.returncode, pause_s)
        if now < self._start_at:
            return False
        self._start_at = 0.0
        self.start()
        return True

    def terminate(self) -> None:
        if self._process is not None:
            self._process.terminate()

    def wait(self, limit_s: float) -> None:
        """Wait for the end, and bring it about when it does not come by itself."""
        if self._process is None:
            return
        try:
            self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            logger.warning("%s did not stop within %s s: killing it", self.name, limit_s)
            self.kill()

    def kill(self) -> None:
        """Kill the process and its descendants, and wait until it is gone."""
        if self._process is not None:
            self.send_kill()
            self._process.wait()

    def send_kill(self) -> None:
        """Kill the process and its descendants. Waits for nothing, so a signal handler may call it."""
        if self._process is None or self._process.returncode is not None:
            return
        for pid in _descendants(self._process.pid):
            _kill(pid)
        self._process.kill()


class Canary:
    """Asks the workers for a sign that jobs are carried out, again and again."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._sent_at: datetime | None = None
        self.rest()

    def rest(self) -> None:
        """Forget the job that is under way and begin anew after a pause: a cluster needs time to start."""
        self._sent_at = None
        self._next_at = time.monotonic() + self._every_s

    def is_dead(self) -> bool:
        """Whether a job was left lying. Without a database there is nothing to say."""
        if time.monotonic() < self._next_at:
            return False
        try:
            return self._listen()
        except DatabaseError as error:
            logger.warning("the canary has no database: %s", error)
            self.rest()
            return False
        finally:
            connections.close_all()

    def _listen(self) -> bool:
        if self._sent_at is None:
            self._sent_at = timezone.now()
            enqueue("mcc.core.tasks.canary")
            self._next_at = time.monotonic() + 1
            return False
        if Heartbeat.objects.filter(name=tasks.CANARY, at__gte=self._sent_at).exists():
            self.rest()
            return False
        self._next_at = time.monotonic() + 1
        return (timezone.now() - self._sent_at).total_seconds() > self._every_s


def web(host: str, port: int) -> Child:
    # The handshake limit must survive a storm of reconnects, and sockets stay open for days.
    daphne = ["-m", "daphne", "-b", host, "-p", str(port), "-v", "0", "--no-server-name"]
    limits = ["--websocket_connect_timeout", "30", "--websocket_timeout", "-1"]
    command = [sys.executable, *daphne, *limits, "mcc.asgi:application"]
    return Child("web", command, "web", orphaned=signal.SIGKILL)


def jobs() -> Child:
    command = [sys.executable, "manage.py", "qcluster"]
    return Child("jobs", command, "worker", orphaned=signal.SIGTERM)


class Supervisor:
    """Runs the children until SIGTERM or Ctrl-C; a second one kills them without waiting."""

    def __init__(self, web: Child, jobs: Child, canary: Canary) -> None:
        self._web, self._jobs, self._canary = web, jobs, canary
        self._stopping = 0

    def run(self, *, once_started: Callable[[], None]) -> None:
        """Block until told to stop. ``once_started`` is called each round until it is done telling the address."""
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(signum, self._stop)
        children = [self._web, self._jobs]
        try:
            for child in children:
                child.start()
            while not self._stopping:
                time.sleep(LOOK_S)
                once_started()
                self._web.look_after()
                self._look_after_jobs()
        finally:
            self._end()

    def _look_after_jobs(self) -> None:
        if self._jobs.look_after():
            self._canary.rest()
        elif self._canary.is_dead():
            logger.error("no job is carried out: killing the workers to start them afresh")
            self._jobs.kill()
            self._canary.rest()

    def _end(self) -> None:
        """Stop the workers first: they finish what is in hand, and the pages show it."""
        self._jobs.terminate()
        self._jobs.wait(STOP_S if self._stopping < 2 else 0)
        self._web.terminate()
        self._web.wait(5)

    def _stop(self, signum: int, frame: object) -> None:
        self._stopping += 1
        if self._stopping > 1:
            self._jobs.send_kill()


def _descendants(pid: int) -> list[int]:
    """Return the processes below ``pid``, children before parents. Empty where there is no /proc."""
    found = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            pids = [int(child) for child in children.read_text().split()]
        except OSError:
            continue
        for child in pids:
            found += [*_descendants(child), child]
    return found


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
