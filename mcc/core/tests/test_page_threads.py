"""Pages keep their connections, and neither a dead server, a crowd nor a reader who leaves takes them away."""

import http.client
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.ports import free_port
from tests.servers import wait_for_port

ROOT = Path(__file__).resolve().parents[3]
MOST, KEPT = 3, 2
GIVES_UP_S = 1
"""After so long the server gives up a request whose reader has left."""

pytestmark = pytest.mark.postgres


@contextmanager
def pages(url):
    port = free_port()
    environment = os.environ | {"DATABASE_URL": url, "MCC_ROLE": "web", "MCC_IGNORE_DOTENV": "true"}
    daphne = [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(port), "-v", "0"]
    limits = ["--application-close-timeout", str(GIVES_UP_S)]
    command = [*daphne, *limits, "mcc.core.tests.page_process:application"]
    with subprocess.Popen(command, cwd=ROOT, env=environment) as process:
        try:
            wait_for_port(port)
            yield port
        finally:
            process.terminate()


def get(port, s=0, timeout=30):
    """Return the status and the text of a page."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        line.request("GET", f"/?s={s}")
        answer = line.getresponse()
        return answer.status, answer.read().decode()
    finally:
        line.close()


def leave(port, s):
    """Ask for a page and go away before it is there."""
    with pytest.raises(TimeoutError):
        get(port, s=s, timeout=0.3)


def left_behind(url):
    """Return the processes that serve others than us, once only two are left, as there should be."""
    asked = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    deadline = time.monotonic() + 20
    with psycopg.connect(url, autocommit=True) as own:
        while len(found := own.execute(asked).fetchall()) > KEPT and time.monotonic() < deadline:
            time.sleep(0.05)
    return {str(pid) for (pid,) in found}


def test_pages_keep_a_connection_and_get_another_when_the_server_was_killed(mortal_postgres):
    with pages(mortal_postgres.url) as port:
        before = [get(port) for _ in range(20)]
        kept = left_behind(mortal_postgres.url)
        mortal_postgres.kill()
        away = get(port)
        mortal_postgres.start()
        after = [get(port) for _ in range(20)]
        mortal_postgres.kill()
        mortal_postgres.start()
        again = get(port)

    # An answer can be there before its thread is free, so two take turns.
    assert {status for status, _ in before} == {status for status, _ in after} == {200}
    assert {pid for _, pid in before} == kept
    assert (away[0], len(set(after)) <= KEPT, again[0]) == (500, True, 200)


def test_who_waits_too_long_is_told_so_and_a_crowd_leaves_few_connections_behind(mortal_postgres):
    with pages(mortal_postgres.url) as port, ThreadPoolExecutor(6) as threads:
        crowd = list(threads.map(lambda _: get(port, s=0.4), range(4)))
        began = time.monotonic()
        stuck = list(threads.map(lambda _: get(port, s=3), range(6)))
        took_s = time.monotonic() - began
        served = get(port)
        left = left_behind(mortal_postgres.url)

    assert ({status for status, _ in crowd}, len({pid for _, pid in crowd}) <= MOST) == ({200}, True)
    assert sorted(status for status, _ in stuck) == [200] * MOST + [503] * 3
    assert "try again" in next(text for status, text in stuck if status == 503)
    assert took_s < 10
    assert (served[0], len(left)) == (200, KEPT)


def test_readers_who_leave_take_no_connection_with_them(mortal_postgres):
    with pages(mortal_postgres.url) as port:
        for _ in range(3):
            for _ in range(MOST):
                leave(port, s=GIVES_UP_S + 2.5)
            refused = get(port)
            time.sleep(GIVES_UP_S + 3)
            served = [get(port) for _ in range(3)]
            assert (refused[0], {status for status, _ in served}) == (503, {200})

        assert len(left_behind(mortal_postgres.url)) == KEPT
