"""Pages keep their connections, and neither a dead server, a crowd nor a reader who leaves takes them away."""

import http.client
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from mcc.core.tests.machinery import wait_until
from tests.ports import free_port, is_open
from tests.servers import wait_for_port

ROOT = Path(__file__).resolve().parents[3]
MOST, KEPT, LOCK = 3, 2, 1
GIVES_UP_S = 1
"""After so long the server gives up a request whose reader has left."""

pytestmark = pytest.mark.postgres


@contextmanager
def serving(url):
    """Give the server's process and its port."""
    port = free_port()
    environment = os.environ | {"DATABASE_URL": url, "MCC_ROLE": "web", "MCC_IGNORE_DOTENV": "true"}
    daphne = [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(port), "-v", "0"]
    limits = ["--application-close-timeout", str(GIVES_UP_S)]
    command = [*daphne, *limits, "mcc.core.tests.page_process:application"]
    with subprocess.Popen(command, cwd=ROOT, env=environment) as process:
        try:
            wait_for_port(port)
            yield process, port
        finally:
            process.kill()


@contextmanager
def pages(url):
    with serving(url) as (_, port):
        yield port


def get(port):
    """Return the status and the text of a page."""
    with asked(port) as line:
        answer = line.getresponse()
        return answer.status, answer.read().decode()


@contextmanager
def asked(port):
    """Ask for a page, and go away in the end."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        line.request("GET", "/")
        yield line
    finally:
        line.close()


@contextmanager
def held_up(url):
    """Let no page come to its end; give what tells how many there are that wait for it."""
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with psycopg.connect(url, autocommit=True) as own:
        own.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        yield lambda: own.execute(waiting).fetchone()[0]


def left_behind(url):
    """Return the processes that serve others than us, once only two are left, as there should be."""
    others = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with psycopg.connect(url, autocommit=True) as own:
        wait_until(lambda: len(own.execute(others).fetchall()) <= KEPT)
        return {str(pid) for (pid,) in own.execute(others)}


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

    # An answer can be there before its thread is free, so two take turns, and another may help out.
    assert {status for status, _ in before} == {status for status, _ in after} == {200}
    assert kept <= {pid for _, pid in before}
    assert (len(set(before)) <= 2 * MOST, len(set(after)) <= 2 * MOST) == (True, True)
    assert (away[0], again[0]) == (500, 200)


def test_who_waits_too_long_is_told_so_and_a_crowd_leaves_few_connections_behind(mortal_postgres):
    url = mortal_postgres.url
    with pages(url) as port, ThreadPoolExecutor(6) as threads:
        with held_up(url) as waiting:
            crowd = [threads.submit(get, port) for _ in range(4)]
            wait_until(lambda: waiting() == MOST)
        with held_up(url) as waiting:
            stuck = [threads.submit(get, port) for _ in range(6)]
            wait_until(lambda: waiting() == MOST)
            wait_until(lambda: len([page for page in stuck if page.done()]) == 3)
            refused = [page.result() for page in stuck if page.done()]
        served = get(port)
        left = left_behind(url)

    answers = [page.result() for page in crowd]
    assert ({status for status, _ in answers}, len({pid for _, pid in answers}) <= MOST) == ({200}, True)
    assert sorted(page.result()[0] for page in stuck) == [200] * MOST + [503] * 3
    assert [(status, "try again" in text) for status, text in refused] == [(503, True)] * 3
    assert (served[0], len(left)) == (200, KEPT)


def test_readers_who_leave_take_no_connection_with_them(mortal_postgres):
    url = mortal_postgres.url
    with pages(url) as port:
        for _ in range(3):
            with held_up(url) as waiting:
                for number in range(1, MOST + 1):
                    with asked(port):
                        wait_until(lambda: waiting() == number)  # noqa: B023 - asked in this turn of the loop only
                refused = get(port)  # it waits for longer than the server has patience with those who left
            served = [get(port) for _ in range(3)]
            assert (refused[0], {status for status, _ in served}) == (503, {200})

        assert len(left_behind(url)) == KEPT


def test_a_server_that_is_stopped_ends_though_a_page_is_under_way(mortal_postgres):
    url = mortal_postgres.url
    with serving(url) as (server, port), ThreadPoolExecutor(1) as threads:
        with held_up(url) as waiting:
            threads.submit(get, port)
            wait_until(lambda: waiting() == 1)
            server.terminate()
            wait_until(lambda: not is_open(port))
        assert server.wait(10) == 0
