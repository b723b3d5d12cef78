"""What is handed out is on the disk, though no commit waited for it by itself."""

import asyncio
import ctypes
import os
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import psycopg
import pytest
from django.db import connection, transaction

from mcc.core import flushing
from mcc.core.models import Stream
from mcc.core.tests.flushing_process import environment

CACHESTAT = 451
AS_LATE_AS_CAN_BE = "ALTER SYSTEM SET wal_writer_delay = '10s'"


@pytest.fixture
def lazy_postgres(mortal_postgres):
    """A server that writes down by itself only what it is asked for."""
    with psycopg.connect(mortal_postgres.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE said (words text)")
        connection.execute(AS_LATE_AS_CAN_BE)
        connection.execute("SELECT pg_reload_conf()")
    return mortal_postgres


@pytest.fixture
def worker(lazy_postgres):
    command = [sys.executable, "-m", "mcc.core.tests.flushing_process"]
    with subprocess.Popen(
        command, env=environment(lazy_postgres.url), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def tell(worker, word):
    worker.stdin.write(f"{word}\n")
    worker.stdin.flush()
    return worker.stdout.readline().strip()


def said(server):
    deadline = time.monotonic() + 60
    while True:
        try:
            with psycopg.connect(server.url) as connection:
                return sorted(words for (words,) in connection.execute("SELECT words FROM said"))
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@pytest.mark.postgres
@pytest.mark.parametrize("command", ["write", "press"])
def test_what_was_handed_out_survives_the_death_of_the_server(lazy_postgres, worker, command):
    assert tell(worker, f"{command} once") == "handed out after 1"

    lazy_postgres.kill()
    lazy_postgres.start()

    assert said(lazy_postgres) == ["once"]


@pytest.mark.postgres
def test_who_is_alone_waits_for_no_other_thread(lazy_postgres, worker):
    assert tell(worker, "hold the disk") == "held"
    assert tell(worker, "write once") == "handed out after 1"

    lazy_postgres.kill()
    lazy_postgres.start()

    assert said(lazy_postgres) == ["once"]


@pytest.mark.postgres
def test_what_was_lost_before_it_could_be_handed_out_is_done_again(lazy_postgres, worker):
    assert tell(worker, "hold the disk") == "held"
    assert tell(worker, "commit twice") == "committed"
    assert said(lazy_postgres) == ["twice"], "others see at once what does not wait for the disk"

    lazy_postgres.kill()
    lazy_postgres.start()
    assert said(lazy_postgres) == [], "nothing was lost, so nothing is shown"

    assert tell(worker, "let go") == "handed out after 2"
    assert said(lazy_postgres) == ["twice"]


@pytest.mark.postgres
def test_who_asks_for_the_line_again_does_not_take_it_from_those_who_wait(lazy_postgres, worker):
    assert tell(worker, "hold the disk") == "held"
    assert tell(worker, "commit once") == "committed"
    assert tell(worker, "open again") == "asked"
    assert tell(worker, "let go") == "handed out after 1"
    assert said(lazy_postgres) == ["once"]


@pytest.mark.postgres
def test_a_new_connection_says_nothing_of_what_was_committed_before(lazy_postgres, worker):
    assert tell(worker, "hold the disk") == "held"
    assert tell(worker, "commit twice") == "committed"

    with psycopg.connect(lazy_postgres.url, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")

    assert tell(worker, "let go") == "handed out after 2"
    assert said(lazy_postgres) == ["twice", "twice"], "that it was kept was not known"


@pytest.mark.django_db(transaction=True)
def test_on_sqlite_what_is_flushed_is_on_the_disk_when_it_is_handed_out_and_nothing_else_waits():
    def write(context):
        with context(), transaction.atomic():
            Stream.objects.create(name=f"stream:{Stream.objects.count()}")
        return unwritten(Path(f"{connection.settings_dict['NAME']}-wal"))

    async def scenario():
        thread = flushing.FlushedThread("test")
        try:
            lazy = await thread.run(write, nullcontext)
            at_the_commit = await thread.run(write, flushing.flushed)
            handed_out = await thread.run(unwritten, Path(f"{connection.settings_dict['NAME']}-wal"))
            return lazy, at_the_commit, handed_out, await thread.run(flushing.soon)
        finally:
            thread.close()

    assert not Stream.objects.exists(), "a connection stays open: whoever closes the last one removes the log"
    lazy, at_the_commit, handed_out, soon = asyncio.run(scenario())
    if not lazy:
        pytest.skip("this file system has nothing that is not written yet")
    assert at_the_commit > 0, "the thread waited by itself"
    assert (handed_out, soon) == (0, [])


def unwritten(path):
    """Return how many pages of a file the kernel has not written yet."""
    found = (ctypes.c_uint64 * 5)()
    everything = (ctypes.c_uint64 * 2)(0, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    with path.open("rb") as file:
        if libc.syscall(CACHESTAT, file.fileno(), everything, found, 0):
            pytest.skip(f"this kernel does not say it: {os.strerror(ctypes.get_errno())}")
    _, dirty, in_writing, *_ = found
    return dirty + in_writing
