"""A person decides calls that nobody can be asked about."""

from datetime import timedelta

import pytest
from django.utils import timezone

from budgets import audit, reading, vitals
from budgets.errors import HoldNotOpen
from budgets.models import Alert, Bucket, Hold, HoldDecision, Usage
from budgets.services import accounts, deciding, ledger
from budgets.services.sweep import sweep
from budgets.tests.factories import limited, make_bill, make_hold
from budgets.tests.test_concurrency import at_once
from mcc.core.errors import InvalidInput
from mcc.core.models import AuditEntry, User

pytestmark = pytest.mark.django_db
State, Verdict = Hold.State, HoldDecision.Verdict


@pytest.fixture(autouse=True)
def the_books_balance(db):
    yield
    assert audit.differences() == []


@pytest.fixture
def petra(db) -> User:
    return User.objects.create_superuser("petra", password=None)


def make_lost(*accounts_held, hours: float = 2, **options) -> Hold:
    hold = make_hold(*accounts_held, amount=40, at=timezone.now() - timedelta(hours=hours), **options)
    ledger.lose(hold, "its connection broke")
    return hold


def only_bucket() -> tuple[int, int]:
    bucket = Bucket.objects.get()
    return bucket.spent_nanousd, bucket.held_nanousd


@pytest.mark.parametrize(
    ("verdict", "amount", "bucket", "source"),
    [
        (Verdict.NOTHING_SENT, None, (0, 0), None),
        (Verdict.CHARGE_HOLD, None, (40, 0), "presumed"),
        (Verdict.CHARGE_AMOUNT, 15, (15, 0), "by_hand"),
    ],
)
def test_it_is_given_back_or_charged_and_who_said_why_stays(petra, verdict, amount, bucket, source) -> None:
    hold, heard = make_lost(limited(100)), []
    assert only_bucket() == (0, 40)

    decision = deciding.decide(
        hold, verdict, reason=" the log of the proxy ", user=petra, amount_nanousd=amount, charged=heard.append
    )

    assert only_bucket() == bucket
    assert [usage.cost_source for usage in Usage.objects.all()] == ([source] if source else [])
    assert heard == list(Usage.objects.all())
    assert (decision.user, decision.reason, decision.charged_nanousd) == (petra, "the log of the proxy", bucket[0])
    entry = AuditEntry.objects.get(action="budgets.decide_hold")
    assert (entry.user, entry.subject) == (petra, f"budgets.hold:{hold.pk}")
    assert entry.detail == {
        "reference": hold.reference,
        "verdict": verdict,
        "set_aside_nanousd": 40,
        "charged_nanousd": bucket[0],
        "reason": "the log of the proxy",
    }
    with pytest.raises(HoldNotOpen):
        deciding.decide(hold, Verdict.NOTHING_SENT, reason="again", user=petra)


def test_only_what_no_worker_and_no_record_can_tell_of_is_decided(petra) -> None:
    under_way = make_hold(at=timezone.now() - timedelta(hours=2))
    young, named, charged = make_lost(hours=0.9), make_lost(), make_lost()
    ledger.note_generation(named, "gen-1")
    ledger.capture(charged, make_bill(1))
    lost, older = make_lost(), make_lost(hours=3)

    assert list(deciding.undecided()) == [older, lost]
    assert list(reading.bill().unresolved) == [older, named, lost]
    assert "what 3 lost calls cost" in vitals.books().text
    for hold, reason in ((under_way, "worker"), (young, "worker"), (named, "record")):
        assert reason in deciding.why_not(Hold.objects.get(pk=hold.pk))
        with pytest.raises(InvalidInput, match=reason):
            deciding.decide(hold, Verdict.CHARGE_HOLD, reason="so be it", user=petra)
    with pytest.raises(HoldNotOpen):
        deciding.decide(charged, Verdict.CHARGE_HOLD, reason="so be it", user=petra)
    assert not HoldDecision.objects.exists()


@pytest.mark.parametrize(
    ("verdict", "amount", "reason", "fields"),
    [
        ("nothing_sent", None, "  ", {"reason"}),
        ("charge_amount", 41, "the bill", {"amount_usd"}),
        ("charge_amount", 0, "the bill", {"amount_usd"}),
        ("charge_amount", -1, "the bill", {"amount_usd"}),
        ("charge_amount", None, "the bill", {"amount_usd"}),
        ("forget", None, "", {"verdict", "reason"}),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(petra, verdict, amount, reason, fields) -> None:
    hold = make_lost(limited(100))

    with pytest.raises(InvalidInput) as refusal:
        deciding.decide(hold, verdict, reason=reason, user=petra, amount_nanousd=amount)

    assert set(refusal.value.fields) == fields
    assert (only_bucket(), Hold.objects.get().state) == ((0, 40), State.UNRESOLVED)


def test_a_worker_that_comes_back_with_a_bill_is_heard_though_a_person_gave_the_money_back(petra) -> None:
    account = limited(100)
    hold, others = make_lost(account), make_lost(account)
    ledger.release(others, "the provider refused it")
    deciding.decide(hold, Verdict.NOTHING_SENT, reason="nothing in the log", user=petra)
    full = make_hold(account, amount=100)
    ledger.note_generation(hold, "gen-late")

    usage = ledger.capture(hold, make_bill(30, generation_id="gen-late"))

    assert (usage.cost_nanousd, usage.overrun_nanousd, only_bucket()) == (30, 30, (30, 100))
    assert ledger.capture(hold, make_bill(30)) == usage, "once"
    assert set(Alert.objects.values_list("level", flat=True)) == {"overrun"}
    with pytest.raises(HoldNotOpen):
        ledger.capture(others, make_bill(1))
    with pytest.raises(HoldNotOpen):
        ledger.release(hold)
    ledger.release(full)


def test_a_worker_that_comes_back_finds_what_a_person_charged(petra) -> None:
    hold = make_lost(limited(100))
    deciding.decide(hold, Verdict.CHARGE_AMOUNT, reason="the bill", user=petra, amount_nanousd=7)

    assert ledger.capture(hold, make_bill(30)).cost_nanousd == 7
    assert only_bucket() == (7, 0)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("verdict", [Verdict.NOTHING_SENT, Verdict.CHARGE_AMOUNT])
def test_a_person_the_sweeper_and_a_late_worker_at_once_settle_a_call_once(verdict) -> None:
    petra, account = User.objects.create_superuser("petra", password=None), limited(10_000)
    accounts.global_account()
    ended = set()
    for number in range(12):
        hold = make_lost(account, reference=f"run:1/step:{number}/attempt:1")
        worker_bill = make_bill(9)

        def act(index: int, hold=hold, bill=worker_bill):
            if index == 0:
                return deciding.decide(hold, verdict, reason="seen", user=petra, amount_nanousd=5)
            if index == 1:
                return sweep(lambda _: None, horizon_s=0, now=timezone.now() + timedelta(hours=1))
            return ledger.capture(Hold.objects.get(pk=hold.pk), bill)

        answers = at_once(3, act)

        assert all(not isinstance(answer, Exception) or isinstance(answer, HoldNotOpen) for answer in answers), answers
        usage = Usage.objects.get(hold=hold)
        ended.add(usage.cost_nanousd)
        # Whoever is first: what the worker proves, what the person says, or the hold.
        assert usage.cost_nanousd in (9, 5, 40) and Hold.objects.get(pk=hold.pk).state == State.CAPTURED
        assert HoldDecision.objects.filter(hold=hold).exists() == isinstance(answers[0], HoldDecision)
        assert audit.differences() == []
    assert ended
