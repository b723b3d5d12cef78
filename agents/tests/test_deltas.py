"""The text that models are writing, on its way to those who watch."""

import pytest

from agents.runner.deltas import Deltas
from mcc.core.models import Event

pytestmark = pytest.mark.django_db


def test_what_one_model_writes_keeps_nobody_from_hearing_the_others():
    deltas = Deltas()
    deltas.hear(1, 0, "issue:1", "NUL \0, half \ud83d")
    deltas.hear(2, 0, "issue:2", "all is well")

    deltas.flush()
    deltas.hear(1, 0, "issue:1", "\ude80 a whole")
    deltas.flush()

    told = [(event.stream.name, event.data["blocks"][0][1]) for event in Event.objects.order_by("pk")]
    assert told == [
        ("issue:1", "NUL \ufffd, half \ufffd"),
        ("issue:2", "all is well"),
        ("issue:1", "NUL \ufffd, half \N{ROCKET} a whole"),
    ]
