"""Many callers, two processes, one model that is dead: few requests, no leaks, and everybody back when it is."""

import os
import subprocess
import sys
import time

import pytest
from django.db import connection

from agents.errors import BreakerOpen, CallFailed
from agents.gateway import Patience
from agents.models import Breaker
from agents.services import breakers, outages
from agents.tests.calls import ask, call_of, make_card, make_run, spent_nanousd, states
from budgets.models import Bucket, Hold
from tests.provider import faults, modes

pytestmark = pytest.mark.django_db(transaction=True)
CALLERS = 10
ONCE = Patience(attempts=1, outage_s=0)


@pytest.fixture
def run(acme):
    return make_run(make_card(acme), limit_nanousd=10**12)


def spawn(run, name, *, outage_s, opening_s=0.3):
    argv = [sys.executable, "-m", "agents.tests.callers", connection.settings_dict["NAME"]]
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "mcc.settings",
        "MCC_LOG_LEVEL": "CRITICAL",
        "TEST_FIRST_OPENING_S": str(opening_s),
    }
    return subprocess.Popen(
        [*argv, str(run.pk), name, str(CALLERS), str(outage_s)], env=environment, stdout=subprocess.PIPE, text=True
    )


def answers_of(*processes):
    return sum(int(process.communicate(timeout=90)[0]) for process in processes)


def open_breaker(fake, run):
    fake.plan.extend([faults.refusing(503)] * 5)
    for step in range(5):
        with pytest.raises(CallFailed):
            ask(call_of(run, patience=ONCE, reference_prefix=f"run:{run.pk}/dead:{step}"))


def test_twenty_callers_in_two_processes_send_few_requests_to_a_dead_model(fake, run):
    fake.usual = faults.refusing(503)

    assert answers_of(*(spawn(run, name, outage_s=3) for name in ("left", "right"))) == 0

    # All may knock once before anybody knows; then one at a time, at 0.3, 0.6, 1.2 s and so on. Without a breaker: 60.
    assert 5 <= len(fake.requests) <= 2 * CALLERS + 5
    assert Breaker.objects.get().is_open
    assert set(states()) == {"released"}
    assert Hold.objects.count() == len(fake.requests)
    assert set(Bucket.objects.values_list("held_nanousd", flat=True)) == {0}


def test_everybody_is_answered_once_the_model_is_back(fake, run):
    fake.usual = faults.refusing(503)
    processes = [spawn(run, name, outage_s=60) for name in ("left", "right")]
    deadline = time.monotonic() + 60
    while not Breaker.objects.filter(retry_at__isnull=False, openings__gte=2).exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    fake.usual = modes.plain

    assert answers_of(*processes) == 2 * CALLERS
    row = Breaker.objects.get()
    assert (row.is_open, row.failures) == (False, 0)
    assert Hold.objects.filter(state="captured").count() == 2 * CALLERS
    assert spent_nanousd() == fake.books.total_nanousd
    assert set(Bucket.objects.values_list("held_nanousd", flat=True)) == {0}


def test_the_next_model_takes_over_at_once(fake, acme, run):
    open_breaker(fake, run)
    run.agent.fallbacks.add(make_card(acme, "acme/small"))
    started = time.monotonic()

    assert ask(call_of(run)).text == "Hello"

    assert time.monotonic() - started < 8  # an opening lasts eleven seconds at least
    assert [body["model"] for body in fake.requests] == ["acme/large"] * 5 + ["acme/small"]


def test_the_failure_that_opens_it_leads_to_the_next_model_without_a_pause(fake, acme, run):
    run.agent.fallbacks.add(make_card(acme, "acme/small"))
    fake.plan.extend([faults.refusing(503)] * 5)
    started = time.monotonic()

    assert ask(call_of(run, patience=Patience(attempts=9, first_pause_s=0.01))).text == "Hello"

    assert time.monotonic() - started < 8  # an opening lasts eleven seconds at least
    assert [body["model"] for body in fake.requests] == ["acme/large"] * 5 + ["acme/small"]


def test_without_another_model_it_ends_after_its_patience_with_nothing_on_hold(fake, run):
    open_breaker(fake, run)
    holds = Hold.objects.count()

    with pytest.raises(BreakerOpen, match="has been failing since"):
        ask(call_of(run, patience=Patience(outage_s=0.1)))

    assert (len(fake.requests), Hold.objects.count()) == (5, holds)


def test_who_tries_and_answers_opens_the_way(fake, run, monkeypatch):
    monkeypatch.setattr(breakers, "FIRST_OPENING_S", 0.2)
    open_breaker(fake, run)

    assert ask(call_of(run, patience=Patience(first_pause_s=0.1, outage_s=5))).text == "Hello"

    assert not Breaker.objects.get().is_open


def test_who_tries_and_has_no_money_leaves_the_try_to_others(fake, acme, run, monkeypatch):
    monkeypatch.setattr(breakers, "FIRST_OPENING_S", 0.05)
    open_breaker(fake, run)
    time.sleep(0.1)
    poor = make_run(run.model, limit_nanousd=1_000)

    with pytest.raises(Exception, match="limit"):
        ask(call_of(poor))

    assert Breaker.objects.get().probe_until is None


def test_when_all_is_well_a_call_asks_nothing_about_it(run, django_assert_num_queries):
    outages.look()

    with django_assert_num_queries(0):
        assert not outages.in_doubt(run.model.pk, run.model.provider_id)
        assert not outages.failed_lately(run.model.pk)
