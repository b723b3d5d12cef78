"""The circuit breaker, state by state. The gateway's use of it: ``test_gateway_breaker``."""

import contextlib
import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from agents.errors import BreakerOpen, CallFailed
from agents.models import Breaker, Provider
from agents.services import breakers
from agents.tests.calls import make_card

pytestmark = pytest.mark.django_db(transaction=True)
DEAD = CallFailed("acme could not be reached")


@pytest.fixture
def card():
    return make_card(Provider.objects.create(name="acme", kind="openai_compatible", base_url="http://127.0.0.1:1"))


def fail(card, times, failure=DEAD, *, probe=False):
    for _ in range(times):
        with contextlib.suppress(BreakerOpen):
            breakers.failed(card.pk, failure, probe=probe)


def opened(card):
    fail(card, 5)
    return Breaker.objects.get()


def pass_time(card):
    Breaker.objects.update(retry_at=timezone.now() - timedelta(seconds=1))


def test_it_opens_after_so_many_failures_in_a_row_and_says_when_to_come_back(card):
    fail(card, 4)
    assert breakers.admit(card.pk) is False

    with pytest.raises(BreakerOpen) as told:
        breakers.failed(card.pk, DEAD)

    assert 11 <= told.value.retry_after_s <= 15
    assert "acme/large at acme has been failing since" in told.value.detail
    with pytest.raises(BreakerOpen):
        breakers.admit(card.pk)


def test_a_success_in_between_starts_the_count_again(card):
    fail(card, 4)
    breakers.answered(card.pk)
    fail(card, 4)

    assert breakers.admit(card.pk) is False


def test_failures_far_apart_are_not_in_a_row(card):
    fail(card, 4)
    Breaker.objects.update(failed_at=timezone.now() - timedelta(minutes=6))
    fail(card, 1)

    assert (Breaker.objects.get().failures, breakers.admit(card.pk)) == (1, False)


@pytest.mark.parametrize(
    ("failure", "counts"),
    [
        (CallFailed("429", status=429), True),
        (CallFailed("429 with a word", status=429, retry_after_s=3), False),
        (CallFailed("in flight", status=402), False),
        (CallFailed("400", status=400, permanent=True), False),
        (CallFailed("503 with a word", status=503, retry_after_s=3), True),
        (CallFailed("503 for long", status=503, retry_after_s=3_600), False),
        (CallFailed("broken off"), True),
    ],
)
def test_only_what_speaks_against_the_model_counts(card, failure, counts):
    fail(card, 5, failure)

    assert Breaker.objects.filter(retry_at__isnull=False).exists() is counts


def test_when_its_time_is_over_exactly_one_of_many_tries(card):
    opened(card)
    pass_time(card)
    gate, admitted, kept_away = threading.Barrier(8), [], []

    def knock():
        gate.wait()
        try:
            admitted.append(breakers.admit(card.pk))
        except BreakerOpen as refusal:
            kept_away.append(refusal)
        finally:
            connection.close()

    callers = [threading.Thread(target=knock) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()

    assert (admitted, len(kept_away)) == ([True], 7)


def test_each_opening_is_twice_as_long_up_to_a_limit(card):
    opened(card)
    lengths = []
    for _ in range(7):
        pass_time(card)
        assert breakers.admit(card.pk) is True
        fail(card, 1, probe=True)
        lengths.append((Breaker.objects.get().retry_at - timezone.now()).total_seconds())

    longest = [30, 60, 120, 240, 300, 300, 300]
    assert all(0.75 * most - 5 < length <= most for length, most in zip(lengths, longest, strict=True)), lengths


def test_a_success_closes_it_for_everybody(card):
    opened(card)
    pass_time(card)
    breakers.admit(card.pk)

    breakers.answered(card.pk)

    row = Breaker.objects.get()
    assert (row.is_open, row.failures, row.openings, breakers.admit(card.pk)) == (False, 0, 0, False)


def test_who_tried_and_learnt_nothing_lets_the_next_one_try(card):
    opened(card)
    pass_time(card)
    breakers.admit(card.pk)

    breakers.let_go(card.pk)

    assert breakers.admit(card.pk) is True


def test_who_tried_and_never_came_back_is_not_waited_for(card):
    opened(card)
    pass_time(card)
    breakers.admit(card.pk)
    Breaker.objects.update(probe_until=timezone.now() - timedelta(seconds=1))

    assert breakers.admit(card.pk) is True


def test_a_call_that_began_before_it_opened_changes_nothing(card):
    row = opened(card)

    fail(card, 3)

    assert Breaker.objects.get().epoch == row.epoch


def test_who_tried_and_was_told_to_wait_makes_everybody_wait(card):
    opened(card)
    pass_time(card)
    breakers.admit(card.pk)

    breakers.failed(card.pk, CallFailed("429", status=429, retry_after_s=40), probe=True)

    with pytest.raises(BreakerOpen) as told:
        breakers.admit(card.pk)
    assert 35 < told.value.retry_after_s <= 40
    assert Breaker.objects.get().openings == 1


def test_zero_failures_in_the_settings_switch_it_off(card, settings):
    settings.MCC_BREAKER_FAILURES = 0

    fail(card, 20)

    assert breakers.admit(card.pk) is False
