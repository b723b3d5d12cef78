"""What a worker has committed is there whatever becomes of the database's processes, for the worker lives on."""

import os
import signal
import subprocess
import sys
import time

import psycopg
import pytest

COMMIT = """
import django
django.setup()
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute("INSERT INTO said VALUES ('done')")
print("committed", flush=True)
input()
"""


@pytest.mark.postgres
def test_a_commit_of_a_worker_survives_a_crash_of_postgresql(mortal_postgres):
    with psycopg.connect(mortal_postgres.url) as connection:
        connection.execute("CREATE TABLE said (words text)")
    victim = psycopg.connect(mortal_postgres.url)
    environment = {**os.environ, "DATABASE_URL": mortal_postgres.url, "MCC_ROLE": "worker"}
    with subprocess.Popen(
        [sys.executable, "-c", COMMIT], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout.readline() == "committed\n"
        os.kill(victim.info.backend_pid, signal.SIGKILL)
        worker.communicate("\n")
    victim.close()

    assert _asked_patiently(mortal_postgres.url) == [("done",)]


def _asked_patiently(url):
    deadline = time.monotonic() + 60
    while True:
        try:
            with psycopg.connect(url) as connection:
                return connection.execute("SELECT words FROM said").fetchall()
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
