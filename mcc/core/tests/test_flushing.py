"""What must survive a power cut is flushed; the rest of what workers write is not waited for."""

import os
import subprocess
import sys

import pytest
from django.db import connection, transaction

from mcc.core import flushing


@pytest.mark.django_db(transaction=True)
def test_on_sqlite_what_must_not_be_forgotten_is_flushed_and_the_rest_is_not():
    def level():
        with connection.cursor() as cursor:
            return cursor.execute("PRAGMA synchronous").fetchone()[0]

    assert level() == 1
    with pytest.raises(ZeroDivisionError), flushing.flushed(), transaction.atomic():
        assert level() == 2
        1 / 0  # noqa: B018
    assert level() == 1
    with transaction.atomic(), flushing.flushed():
        assert level() == 1


LEVELS = """
import django
django.setup()
from django.db import connection, transaction
from mcc.core import flushing

def level():
    with connection.cursor() as cursor:
        cursor.execute("SHOW synchronous_commit")
        return cursor.fetchone()[0]

print(level())
try:
    with flushing.flushed(), transaction.atomic():
        print(level())
        1 / 0
except ZeroDivisionError:
    print(level())
"""


@pytest.mark.postgres
@pytest.mark.parametrize(("role", "levels"), [("worker", ["off", "on", "off"]), ("web", ["on", "on", "on"])])
def test_on_postgresql_workers_wait_only_for_what_must_not_be_forgotten(postgres_url, role, levels):
    environment = {**os.environ, "DATABASE_URL": postgres_url, "MCC_ROLE": role}
    done = subprocess.run([sys.executable, "-c", LEVELS], env=environment, capture_output=True, text=True, check=True)

    assert done.stdout.split() == levels
