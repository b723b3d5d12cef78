"""Secrets at rest. The row is a provider of models: the first that has a secret."""

import json
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.core import serializers
from django.core.management import CommandError, call_command
from django.forms import model_to_dict, modelform_factory

from agents.models import Provider
from mcc.core.doctor import Level, examine
from mcc.core.encryption import Secret, Undecipherable
from tests import migrated

ROOT = Path(__file__).resolve().parents[3]
PLAIN = "sk-planted-4711"
OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


def make(count=1, **fields):
    rows = [Provider(name=f"p{number}", kind="openrouter", api_key=PLAIN, **fields) for number in range(count)]
    return Provider.objects.bulk_create(rows)


def token(row):
    return Provider.objects.values_list("api_key", flat=True).get(pk=row.pk).token


def test_nothing_that_shows_a_row_shows_its_secret(db, caplog):
    row = Provider(name="acme", kind="openrouter", api_key=PLAIN)
    row.save()
    row = Provider.objects.get()

    form = modelform_factory(Provider, fields=["name"])(instance=row)
    shown = [
        repr(row.api_key), str(row.api_key), f"{row.api_key}", repr(row.__dict__), repr(model_to_dict(row)),
        repr(pickle.dumps(row)), serializers.serialize("json", [row]), str(form), json.dumps(str(vars(row))),
    ]  # fmt: skip

    assert row.api_key.reveal() == PLAIN
    assert [text for text in shown if PLAIN in text] == []
    assert (str(row.api_key), repr(row.api_key), repr(Secret())) == ("(set)", "<Secret (set)>", "<Secret>")
    assert "api_key" not in modelform_factory(Provider, exclude=[]).base_fields


def test_a_fixture_holds_the_encrypted_text_and_brings_it_back(db):
    make()
    fixture = serializers.serialize("json", Provider.objects.all())
    Provider.objects.all().delete()

    for row in serializers.deserialize("json", fixture):
        row.save()

    assert Provider.objects.get().api_key.reveal() == PLAIN


def test_no_secret_is_stored_as_nothing(db):
    row = Provider.objects.create(name="acme", kind="openrouter")

    assert (bool(row.api_key), row.api_key.reveal(), token(row)) == (False, "", "")
    assert Provider.objects.filter(api_key="").get() == row


@pytest.mark.django_db(transaction=True)
def test_the_database_file_does_not_hold_what_was_stored(tmp_path, settings):
    [row] = make()
    row.api_key = "sk-second-4712"
    row.save()
    file = Path(settings.DATABASES["default"]["NAME"])

    data = b"".join(path.read_bytes() for path in file.parent.glob(f"{file.name}*"))

    assert token(row).encode() in data
    assert PLAIN.encode() not in data
    assert b"sk-second-4712" not in data


def test_the_first_key_encrypts_and_all_decrypt(settings, db):
    settings.MCC_ENCRYPTION_KEYS = [OLD]
    make()
    settings.MCC_ENCRYPTION_KEYS = [NEW, OLD]

    assert Provider.objects.get().api_key.reveal() == PLAIN
    settings.MCC_ENCRYPTION_KEYS = [NEW]
    with pytest.raises(Undecipherable):
        Provider.objects.get().api_key.reveal()


def test_rotation_encrypts_everything_with_the_first_key_once(settings, db, capsys):
    settings.MCC_ENCRYPTION_KEYS = [OLD]
    rows = make(count=250)
    Provider.objects.create(name="without", kind="openrouter", management_key="sk-manager")
    settings.MCC_ENCRYPTION_KEYS = [NEW, OLD]

    call_command("rotate_encryption_key")
    first = [token(row) for row in rows]
    call_command("rotate_encryption_key")

    assert capsys.readouterr().out.splitlines() == [
        "251 secrets are stored; 251 were encrypted anew.",
        "251 secrets are stored; 0 were encrypted anew.",
    ]
    assert [token(row) for row in rows] == first
    settings.MCC_ENCRYPTION_KEYS = [NEW]
    assert {row.api_key.reveal() for row in Provider.objects.exclude(name="without")} == {PLAIN}
    assert Provider.objects.get(name="without").management_key.reveal() == "sk-manager"


def test_rotation_names_what_it_cannot_read_and_loses_nothing(settings, db, capsys):
    settings.MCC_ENCRYPTION_KEYS = [OLD]
    [lost] = make()
    settings.MCC_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    Provider.objects.create(name="other", kind="openrouter", api_key=PLAIN)
    before = token(lost)
    settings.MCC_ENCRYPTION_KEYS = [NEW, *settings.MCC_ENCRYPTION_KEYS]

    with pytest.raises(CommandError, match=rf"No key that is set decrypts agents\.provider:{lost.pk}\."):
        call_command("rotate_encryption_key")

    assert capsys.readouterr().out == "2 secrets are stored; 1 were encrypted anew.\n"
    assert token(lost) == before
    settings.MCC_ENCRYPTION_KEYS = [NEW, OLD]
    call_command("rotate_encryption_key")
    assert {row.api_key.reveal() for row in Provider.objects.all()} == {PLAIN}


def test_the_doctor_names_a_secret_that_cannot_be_read(settings, db):
    settings.MCC_ENCRYPTION_KEYS = [OLD]
    [row] = make()
    assert dict(examine())["Stored secrets"].level is Level.OK

    settings.MCC_ENCRYPTION_KEYS = [NEW]

    found = dict(examine())["Stored secrets"]
    assert found.level is Level.FAIL
    assert f"agents.provider:{row.pk}" in found.text


def manage(data_dir, *arguments, **environment):
    """Start ``manage.py`` as an operator would, on a data directory of its own."""
    clean = {name: value for name, value in os.environ.items() if name not in ("SECRET_KEY", "DATABASE_URL")}
    return subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=clean | {"MCC_DATA_DIR": str(data_dir), "MCC_IGNORE_DOTENV": "true", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def told(process):
    """Return the exit code and all that it said."""
    text, _ = process.communicate(timeout=60)
    return process.returncode, text


SHOW = "from django.conf import settings; print(*settings.MCC_ENCRYPTION_KEYS, settings.SECRET_KEY)"


def test_processes_that_start_at_once_agree_on_the_keys_that_they_make(tmp_path):
    starts = [manage(tmp_path, "shell", "-v", "0", "-c", SHOW) for _ in range(3)]
    answers = {told(process) for process in starts}

    assert [code for code, _ in answers] == [0]
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {"encryption_keys": 0o600, "secret_key": 0o600}


def test_the_kept_key_goes_on_decrypting_when_the_variable_is_set(tmp_path):
    _, kept = told(manage(tmp_path, "shell", "-v", "0", "-c", SHOW))
    file = tmp_path / "new-keys"
    file.write_text(f"{NEW}\n")

    _, both = told(manage(tmp_path, "shell", "-v", "0", "-c", SHOW, MCC_ENCRYPTION_KEYS_FILE=str(file)))

    assert both.split() == [NEW, *kept.split()]


def test_a_key_that_is_none_is_refused_without_being_told(tmp_path):
    code, text = told(manage(tmp_path, "check", MCC_ENCRYPTION_KEYS=f"{NEW},hunter2"))

    assert code != 0
    assert "number 2 of MCC_ENCRYPTION_KEYS is not 32 bytes in Base64" in text
    assert "hunter2" not in text


FILL = f"""
from agents.models import Provider
Provider.objects.bulk_create(
    Provider(name=f"p{{n}}", kind="openrouter", api_key={PLAIN!r}) for n in range(3_000)
)
"""
STUCK = """
CREATE TRIGGER stuck BEFORE UPDATE ON agents_provider WHEN old.name = 'p1500' BEGIN
SELECT count(*) FROM (WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 1e12) SELECT n FROM c);
END
"""
"""The rotation gets no further than that row, however late its killer comes."""
READ = """
from agents.models import Provider
print(len({row.api_key.reveal() for row in Provider.objects.all()}), Provider.objects.count())
"""


@pytest.mark.timeout(300)
def test_a_rotation_that_is_killed_goes_on_where_it_was(tmp_path):
    assert migrated.sqlite_at(tmp_path / "mcc.sqlite3")
    assert told(manage(tmp_path, "shell", "-v", "0", "-c", FILL, MCC_ENCRYPTION_KEYS=OLD)) == (0, "")

    command(tmp_path / "mcc.sqlite3", STUCK)
    killed = manage(tmp_path, "rotate_encryption_key", MCC_ENCRYPTION_KEYS=f"{NEW},{OLD}")
    wait_for_some_rows(tmp_path / "mcc.sqlite3")
    killed.send_signal(signal.SIGKILL)
    told(killed)
    command(tmp_path / "mcc.sqlite3", "DROP TRIGGER stuck")
    code, text = told(manage(tmp_path, "rotate_encryption_key", MCC_ENCRYPTION_KEYS=f"{NEW},{OLD}"))

    changed = int(text.partition("; ")[2].split()[0])
    assert (code, text.startswith("3000 secrets are stored"), 0 < changed < 3_000) == (0, True, True)
    assert told(manage(tmp_path, "shell", "-v", "0", "-c", READ, MCC_ENCRYPTION_KEYS=NEW)) == (0, "1 3000\n")


def command(path, statement):
    database = sqlite3.connect(path)
    database.execute(statement)
    database.close()


def wait_for_some_rows(path):
    """Return as soon as the rotation has committed its first row."""
    cipher, deadline = Fernet(NEW), time.monotonic() + 60
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        while time.monotonic() < deadline:
            [first] = database.execute("SELECT api_key FROM agents_provider ORDER BY id LIMIT 1").fetchone()
            try:
                cipher.decrypt(first)
            except Exception:
                time.sleep(0.005)
            else:
                return
    raise TimeoutError("nothing was encrypted anew")
