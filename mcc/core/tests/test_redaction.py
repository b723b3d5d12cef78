"""What goes out of a text, what stays in it, and how long that takes."""

import importlib
import logging
import sys
import time

import pytest
import redis.utils
from hypothesis import given
from hypothesis import strategies as st

from mcc.core import redaction
from mcc.core.redaction import MASK, redact

BODY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n"
PEM = f"-----BEGIN PRIVATE KEY-----\n{BODY * 3}wEi1Zw==\n-----END PRIVATE KEY-----"


@pytest.fixture(autouse=True)
def _knows_nothing(monkeypatch):
    monkeypatch.setattr(redaction, "_known", ())


@pytest.mark.parametrize(
    "secret",
    [
        "sk-or-v1-" + "0123456789abcdef" * 4,
        "sk-ant-api03-" + "aB3_-" * 16,
        "sk-proj-" + "aB3_-" * 16,
        *(f"{kind}_" + "a1B2c3" * 6 for kind in ("ghp", "gho", "ghs", "ghu", "ghr")),
        "github_pat_" + "11AAAAAAA0_" * 4,
        "AKIAIOSFODNN7EXAMPLE",
        "xoxb-123456789012-abcdefABCDEF",
        PEM,
        PEM.replace("PRIVATE", "RSA PRIVATE"),
        PEM.replace("\n", "\\n"),
    ],
)
def test_what_looks_like_a_credential_goes(secret):
    assert redact(f"before {secret!s} after") == f"before {MASK} after"
    assert redact(f'{{"key": "{secret}"}}') == f'{{"key": "{MASK}"}}'


def test_a_private_key_that_was_cut_off_goes_as_far_as_it_is_there():
    assert redact(f"{PEM[:200]}") == MASK


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Authorization: Bearer abc123.def456-ghi789", f"Authorization: Bearer {MASK}"),
        ('{"authorization": "Bearer abc123.def456-ghi789"}', f'{{"authorization": "Bearer {MASK}"}}'),
        ("authorization: basic dXNlcjpwYXNzd29yZDEyMw==", f"authorization: basic {MASK}"),
        ("postgres://mcc:s3cret-pass@db/mcc", f"postgres://mcc:{MASK}@db/mcc"),
        ("redis://:s3cret-pass@cache:6379/0", f"redis://:{MASK}@cache:6379/0"),
        ("https://x-access-token:v1.0123456789@github.com/a/b", f"https://x-access-token:{MASK}@github.com/a/b"),
    ],
)
def test_only_the_secret_part_goes(text, left):
    assert redact(text) == left
    assert redact(left) == left


@pytest.mark.parametrize(
    "text",
    [
        "sk-learn and sk-or-v1-short, ghp_example, AKIA, xoxb-1",
        'if line.startswith("-----BEGIN PRIVATE KEY-----"): # then comes the key itself, in lines of base sixty four',
        "Authorization: Bearer $OPENROUTER_API_KEY",
        "Authorization: Bearer <your-token-goes-here>",
        'headers["Authorization"] = "Bearer " + token_of_the_person',
        "postgres://user:password@localhost/app, postgres://app:${DB_PASSWORD}@db, http://host:8000/path@2x",
        "git@github.com:org/name.git and ssh://git@host:22/x",
        "token_counts = {'AKIA': 1}; the ghost_of_a_chance_that_this_is_a_secret_is_small",
    ],
)
def test_code_and_documents_stay_as_they_are(text):
    assert redact(text) == text


def test_known_values_go_in_every_form_in_which_they_may_stand():
    redaction.register('pa"ss/wörd 42')

    assert redact('x pa"ss/wörd 42 y pa\\"ss/w\\u00f6rd 42 z pa%22ss%2Fw%C3%B6rd%2042') == f"x {MASK} y {MASK} z {MASK}"


def test_short_values_and_words_are_not_known():
    redaction.register("1234567", "postgres", "password", "x" * 7, "")

    assert redaction._known == ()


def test_of_two_secrets_one_of_which_is_in_the_other_nothing_is_left():
    redaction.register("abcdef-12")
    redaction.register("abcdef-123456")

    assert redact("abcdef-123456 abcdef-12") == f"{MASK} {MASK}"


def test_the_environment_tells_its_secrets(tmp_path):
    file = tmp_path / "key"
    file.write_text("from-a-file-1\n")
    redaction.register_environment(
        {
            "SOME_API_KEY": "value-of-key-1",
            "PGPASSWORD": "value-of-pg-1",
            "GITHUB_TOKENS": "value-of-tokens-1",
            "OTHER_KEY_FILE": str(file),
            "LOST_KEY_FILE": "/nowhere/key",
            "DATABASE_URL": "postgres://mcc:p%40ss-of-db@db/mcc",
            "KEYBOARD_LAYOUT": "english-us-1",
            "TOKENIZERS_PARALLELISM": "not-a-secret-1",
            "HOME": "/home/somebody-1",
            "BROKEN": "http://[",
        }
    )

    found = set(redaction._known)
    assert {"value-of-key-1", "value-of-pg-1", "value-of-tokens-1", "from-a-file-1", "p@ss-of-db"} <= found
    assert not found & {str(file), "english-us-1", "not-a-secret-1", "/home/somebody-1"}


@given(st.text(max_size=300))
def test_it_is_idempotent(text):
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize(
    "near_miss",
    [
        "sk-or-v1-" + "a" * 23 + " ",
        "sk-ant-",
        "ghp_" + "a" * 29 + ".",
        "AKIA" + "A" * 17,
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----" + " \\n" * 30,
        "-----BEGIN " + "A " * 12,
        "Authorization: Bearer ",
        "Authorization: Bearer " + "a" * 220 + " ",
        "://",
        "://" + "a" * 101,
        "://user:" + "p4" * 101,
        "://" + ":" * 50,
        "-",
        " ",
        "a",
    ],
)
def test_a_megabyte_of_near_misses_takes_linear_time(near_miss):
    redaction.register("known-secret-number-1")

    def seconds(size):
        text = (near_miss * (size // len(near_miss) + 1))[:size]
        began = time.process_time()
        redact(text)
        return time.process_time() - began

    quarter, whole = (min(seconds(size) for _ in range(3)) for size in (250_000, 1_000_000))

    assert whole < 1.0
    assert whole < 12 * quarter + 0.02


def test_looking_for_known_secrets_in_a_prompt_takes_well_under_two_milliseconds():
    redaction.register(*(f"secret-value-number-{number}" for number in range(15)))
    prompt = "def answer(question):\n    return question  # and so on, for a while\n" * 3_000
    assert len(prompt) > 200_000

    def seconds():
        began = time.process_time()
        redaction.holds_known(prompt)
        return time.process_time() - began

    assert min(seconds() for _ in range(7)) < 0.002


def test_a_log_line_is_redacted_with_its_arguments_and_its_traceback(caplog):
    redaction.register("known-secret-number-1")
    try:
        raise ValueError("it was known-secret-number-1")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "", 1, "said %s", ("known-secret-number-1",), sys.exc_info())

    line = redaction.Formatter("%(message)s").format(record)

    assert "known-secret" not in line
    assert line.startswith(f"said {MASK}\nTraceback")
    assert line.endswith(f"ValueError: it was {MASK}")


def test_every_handler_redacts(settings):
    importlib.import_module("mcc.urls")  # whatever a library brings when it is imported is there now
    redis.utils._set_info_logger()  # and what redis brings when it first connects
    names = [None, *logging.root.manager.loggerDict]
    handlers = {
        handler
        for name in names
        for handler in logging.getLogger(name).handlers
        if not isinstance(handler, logging.NullHandler)
        and not type(handler).__module__.startswith(("_pytest", "pytest"))
    }

    assert [handler for handler in handlers if not isinstance(handler.formatter, redaction.Formatter)] == []
