"""The book of a day held against its bill."""

from datetime import UTC, date, datetime, timedelta

import pytest

from budgets import queries, reading, vitals
from budgets.models import Alert, Hold, Posting, Reconciliation, Usage
from budgets.services import accounts, ledger, reconciling
from budgets.signals import bill_differs, hold_overrun, limit_crossed
from budgets.tests.factories import limited, make_account, make_bill, make_hold
from mcc.core.money import NANOUSD

pytestmark = pytest.mark.django_db

DAY = date(2031, 3, 11)
NOON = datetime(2031, 3, 11, 12, tzinfo=UTC)
DOLLAR = NANOUSD


def sent(
    at: datetime, cost: int | None, *, settled: datetime | None = None, model="acme/large", upstream="Acme"
) -> Hold:
    """A call sent at ``at``; None: nobody knows its cost yet, and 2 dollars are set aside."""
    hold = make_hold(make_account(), amount=2 * DOLLAR, provider="acme")
    Hold.objects.filter(pk=hold.pk).update(sent_at=at)
    if cost is not None:
        usage = ledger.capture(hold, make_bill(cost, model_used=model, provider="Acme"))
        Usage.objects.filter(pk=usage.pk).update(at=settled or at)
    return hold


def compare(**theirs: int) -> Reconciliation:
    return reconciling.compare_day("acme", DAY, {(f"acme/{model}", "Acme"): cost for model, cost in theirs.items()})


def test_a_day_is_compared_model_by_model():
    sent(NOON, DOLLAR)
    sent(NOON, DOLLAR, model="acme/small")
    sent(NOON - timedelta(days=1), 7 * DOLLAR)
    sent(NOON + timedelta(days=1), 7 * DOLLAR)

    row = compare(large=DOLLAR, small=DOLLAR)

    assert (row.source, row.verdict, row.ours_nanousd, row.theirs_nanousd) == (
        "activity",
        "equal",
        2 * DOLLAR,
        2 * DOLLAR,
    )
    lines = [(line.model, line.upstream, line.ours_nanousd, line.theirs_nanousd) for line in row.lines.all()]
    assert lines == [("acme/large", "Acme", DOLLAR, DOLLAR), ("acme/small", "Acme", DOLLAR, DOLLAR)]


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict"),
    [
        (100 * DOLLAR, 101 * DOLLAR, "equal"),
        (100 * DOLLAR, 102 * DOLLAR, "off"),
        (100 * DOLLAR, 98 * DOLLAR, "off"),
        (DOLLAR // 100, DOLLAR // 50, "equal"),
        (DOLLAR // 100, DOLLAR // 40, "off"),
    ],
)
def test_one_percent_or_a_cent_is_tolerated(ours, theirs, verdict):
    sent(NOON, ours)
    assert compare(large=theirs).verdict == verdict


def test_an_alarm_is_told_after_commit_and_shown(django_capture_on_commit_callbacks):
    heard = []

    def hear(reconciliation, **kwargs):
        heard.append(reconciliation)

    bill_differs.connect(hear)
    sent(NOON, DOLLAR)
    with django_capture_on_commit_callbacks(execute=True):
        row = compare(large=2 * DOLLAR)
    bill_differs.disconnect(hear)

    assert heard == [row] == reading.bill().off == reading.worries().off
    assert row.difference_percent == 50
    finding = vitals.bill()
    assert (finding.level, "billed $2.00 on 2031-03-11, $1.00 is booked" in finding.text) == ("warn", True)

    reconciling.compare_day("acme", DAY + timedelta(days=1), {})
    assert reading.bill().off == [row], "a day that is right makes no other right"


def test_what_was_said_of_a_day_stays_and_the_newest_counts(django_capture_on_commit_callbacks):
    heard = []

    def hear(reconciliation, **kwargs):
        heard.append(reconciliation)

    bill_differs.connect(hear)
    with django_capture_on_commit_callbacks(execute=True):
        sent(NOON, DOLLAR)
        early = compare(large=DOLLAR)
        late_bill = compare(large=3 * DOLLAR)
        assert compare(large=3 * DOLLAR) == late_bill, "the same is said, and told, once"
        other_lines = compare(large=2 * DOLLAR, small=DOLLAR)
        assert (reading.bill().off, reading.worries().off) == ([other_lines], [other_lines])
        sent(NOON, 2 * DOLLAR, settled=NOON + timedelta(days=2))
        now = compare(large=2 * DOLLAR, small=DOLLAR)
    bill_differs.disconnect(hear)

    assert [row.verdict for row in (early, late_bill, other_lines, now)] == ["equal", "off", "off", "equal"]
    assert (early.ours_nanousd, now.ours_nanousd) == (DOLLAR, 3 * DOLLAR)
    [check] = reading.checks()
    assert (check.newest, list(check.earlier)) == (now, [other_lines, late_bill, early])
    assert list(Reconciliation.objects.all()) == [now, other_lines, late_bill, early]
    assert reading.bill().off == reading.worries().off == []
    assert vitals.bill().level == "ok"
    assert heard == [late_bill, other_lines]


def test_a_call_without_a_bill_may_explain_that_more_was_billed():
    sent(NOON, DOLLAR)
    lost = sent(NOON, None)
    ledger.lose(lost)
    assert compare(large=3 * DOLLAR).verdict == "equal"


def test_a_presumed_charge_may_explain_that_less_was_billed():
    sent(NOON, DOLLAR)
    lost = sent(NOON, None)
    ledger.lose(lost)
    usage = ledger.capture(lost, make_bill(2 * DOLLAR, source=Usage.Source.PRESUMED))
    Usage.objects.filter(pk=usage.pk).update(at=NOON + timedelta(days=1))
    row = compare(large=DOLLAR)
    assert (row.verdict, row.presumed_nanousd) == ("equal", 2 * DOLLAR)


def test_a_call_over_midnight_may_be_on_either_days_bill():
    sent(NOON, DOLLAR)
    late = datetime(2031, 3, 11, 23, 59, 50, tzinfo=UTC)
    sent(late, 3 * DOLLAR, settled=late + timedelta(seconds=30))
    assert compare(large=DOLLAR).verdict == "equal"
    early = reconciling.compare_day("acme", DAY + timedelta(days=1), {("acme/large", "Acme"): 3 * DOLLAR})
    assert early.verdict == "equal"


def test_a_call_over_midnight_may_be_billed_to_the_key_today():
    late = datetime(2031, 3, 11, 23, 59, 50, tzinfo=UTC)
    sent(late, 3 * DOLLAR, settled=late + timedelta(seconds=30))
    morning = late + timedelta(minutes=10)
    assert reconciling.compare("acme", 3 * DOLLAR, at=morning).verdict == "equal"
    assert reconciling.compare("acme", 4 * DOLLAR, at=morning).verdict == "off"


def test_the_last_days_that_are_over_are_asked_about_again_and_again():
    for days in (0, 1, 2, 9):
        sent(NOON - timedelta(days=days), DOLLAR)
    sent(NOON - timedelta(days=3), DOLLAR, settled=NOON)
    ledger.lose(sent(NOON - timedelta(days=5), None))
    ledger.release(sent(NOON - timedelta(days=6), None))
    reconciling.compare_day("acme", DAY - timedelta(days=2), {})
    asked = [DAY - timedelta(days=days) for days in (5, 3, 2, 1)]
    assert reconciling.days_to_compare("acme", today=DAY) == asked
    assert reconciling.days_to_compare("other", today=DAY) == []


def test_what_the_book_is_not_sure_of_is_listed():
    usage = ledger.capture(make_hold(make_account()), make_bill(10, source=Usage.Source.PRESUMED))
    lost = make_hold(make_account())
    ledger.lose(lost)
    Hold.objects.filter(pk=lost.pk).update(created_at=usage.at - timedelta(hours=2))

    bill = reading.bill()
    assert (bill.presumed, bill.unresolved, bill.is_managed) == ([usage], [lost], False)

    reconciling.compare_day("acme", DAY, {})
    assert reading.bill().is_managed


def test_overruns_are_summed_up_by_account_and_told_once_a_period(django_capture_on_commit_callbacks):
    account = limited(1_000)
    told = []

    def hear(alert=None, usage=None, **kwargs):
        told.append(alert.level if alert else usage.overrun_nanousd)

    limit_crossed.connect(hear)
    hold_overrun.connect(hear)
    with django_capture_on_commit_callbacks(execute=True):
        for cost in (10, 15, 12):
            ledger.capture(make_hold(account, amount=10), make_bill(cost))
    limit_crossed.disconnect(hear)
    hold_overrun.disconnect(hear)

    standing = queries.standings(account)[0]
    assert queries.overruns(account, standing.period_start, standing.period_end) == (2, 7)
    assert queries.overruns(make_account(), standing.period_start) == (0, 0)
    assert told == ["overrun", 5, 2]
    assert Alert.objects.filter(level="overrun").count() == 1
    assert (reading.worries().overrun_calls, reading.worries().overrun_nanousd) == (2, 7)
    postings = Posting.objects.filter(account=accounts.global_account(), usage__overrun_nanousd__gt=0)
    assert sum(posting.amount_nanousd for posting in postings) == 27
