"""The gateway against a provider that speaks HTTP: what goes out, what comes back, what it costs."""

import asyncio
from datetime import UTC, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from agents import tasks
from agents.errors import CallFailed, LeaseLost, ModelUnavailable
from agents.gateway import Patience, ToolCall, complete
from agents.models import Message, Provider
from agents.tests.calls import (
    PROMPT,
    Heard,
    ask,
    call_of,
    forget,
    journal,
    make_card,
    make_run,
    on_a_loop,
    spent_nanousd,
    states,
)
from budgets.errors import AccountFrozen, BudgetExceeded
from budgets.models import Hold, Posting, Reconciliation, Usage
from budgets.services import accounts, ledger, pricing
from budgets.signals import bill_differs
from tests.provider import faults, modes

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def run(acme):
    return make_run(make_card(acme))


def test_an_answer_is_streamed_journaled_and_charged_to_every_account(fake, run):
    heard = Heard()

    completion = ask(call_of(run), on_text=heard)

    usage = Usage.objects.get()
    assert (completion.text, completion.finish_reason, heard.pieces) == ("Hello", "stop", ["Hel", "lo"])
    assert Message.objects.get().usage == usage
    assert (usage.cost_nanousd, usage.cost_source, usage.provider) == (4_100_000, "response", "Acme")
    assert (usage.input_tokens, usage.cached_tokens, usage.output_tokens, usage.reasoning_tokens) == (
        1_000,
        800,
        50,
        10,
    )
    assert spent_nanousd() == fake.books.total_nanousd
    assert states() == ["captured"]
    assert sorted(Posting.objects.values_list("account__kind", flat=True)) == ["agent", "agent_type", "global", "issue"]


def test_a_request_tells_who_asks_and_what_it_may_cost(fake, run):
    ask(call_of(run))

    body, headers = fake.requests[0], fake.headers[0]
    assert body["user"] == f"mcc-agent-{run.agent.pk}"
    assert body["session_id"] == f"mcc-run-{run.pk}"
    assert body["trace"] == {
        "mcc_issue": "DEMO-1",
        "mcc_task": "note",
        "mcc_round": "0",
        "mcc_role": "coder",
        "mcc_purpose": "implement",
        "mcc_run": str(run.pk),
        "mcc_attempt": f"run:{run.pk}/step:3/attempt:1",
    }
    assert body["provider"] == {
        "max_price": {"prompt": "3", "completion": "15", "request": "0"},
        "data_collection": "deny",
    }
    assert (body["service_tier"], body["stream_options"]) == ("default", {"include_usage": True})
    assert (body["model"], body["max_tokens"], body["stream"], body["usage"]) == (
        "acme/large",
        1_000,
        True,
        {"include": True},
    )
    assert body["messages"] == PROMPT
    assert "tools" not in body
    assert headers["idempotency-key"] == f"run:{run.pk}/step:3/attempt:1"
    assert headers["authorization"] == "Bearer sk-acme-secret"


def test_every_request_names_an_issue_and_a_task_even_if_there_is_none(fake, run):
    run.trace = {}

    ask(call_of(run))

    assert fake.requests[0]["trace"] == {
        "mcc_issue": "",
        "mcc_task": "",
        "mcc_role": "coder",
        "mcc_purpose": "implement",
        "mcc_run": str(run.pk),
        "mcc_attempt": f"run:{run.pk}/step:3/attempt:1",
    }


def test_a_model_that_caches_only_when_asked_is_asked(fake, acme):
    ask(call_of(make_run(make_card(acme, "anthropic/large"))))
    ask(call_of(make_run(make_card(acme, "acme/large"))))

    assert [body.get("cache_control") for body in fake.requests] == [{"type": "ephemeral"}, None]


def test_a_plain_server_gets_no_fields_of_openrouter_and_is_charged_by_the_list(fake):
    run = make_run(make_card(Provider.objects.create(name="own", kind="openai_compatible", base_url=fake.url)))
    fake.plan.append(modes.nameless)

    ask(call_of(run))

    usage, body = Usage.objects.get(), fake.requests[0]
    assert not {"provider", "usage", "trace", "session_id", "user"} & body.keys()
    assert body["stream_options"] == {"include_usage": True}
    assert (usage.cost_source, usage.cost_nanousd) == ("price_list", 1_000 * 3_000 + 50 * 15_000)
    assert usage.generation_id is None


def test_a_plain_server_that_writes_a_cost_of_nothing_is_charged_by_the_list_all_the_same(fake):
    run = make_run(make_card(Provider.objects.create(name="own", kind="openai_compatible", base_url=fake.url)))
    fake.plan.append(modes.costing("0"))

    ask(call_of(run))

    assert (Usage.objects.get().cost_source, Usage.objects.get().cost_nanousd) == ("price_list", 3_750_000)


def test_the_hold_is_never_less_than_the_bytes_could_cost(run):
    ask(call_of(run, tools=True, messages=[*PROMPT, {"role": "user", "content": "ü" * 500}]))

    prompt_at_least = 1_000 + 16 * 3
    assert Hold.objects.get().amount_nanousd > prompt_at_least * 3_000 + 1_000 * 15_000


def test_pieces_of_tool_calls_are_joined_and_named_uniquely(fake, run):
    fake.plan.append(modes.calling_tools)

    completion = ask(call_of(run, tools=True))

    assert completion.tool_calls == (
        ToolCall("s3c0", "view", '{"path": "é.py"}'),
        ToolCall("s3c1", "run", '{"command'),
    )
    assert completion.finish_reason == "tool_calls"


def test_under_an_own_key_the_upstream_bill_is_added_to_the_fee(fake, run):
    fake.plan.append(modes.costing("0.001", is_byok=True, cost_details={"upstream_inference_cost": 0.02}))

    ask(call_of(run))

    assert Usage.objects.get().cost_nanousd == 21_000_000


def test_a_tiny_cost_is_read_without_a_float(fake, run):
    fake.plan.append(modes.costing("0.000001235"))

    ask(call_of(run))

    assert Usage.objects.get().cost_nanousd == 1_235


def test_more_than_was_set_aside_is_charged_all_the_same(fake, run):
    fake.plan.append(modes.costing("2.5"))

    ask(call_of(run))

    assert Usage.objects.get().cost_nanousd == fake.books.total_nanousd > Hold.objects.get().amount_nanousd


def test_an_answer_shrinks_to_what_the_budget_allows(fake, acme):
    run = make_run(make_card(acme), limit_nanousd=10_000_000)

    ask(call_of(run))

    assert 256 <= fake.requests[0]["max_tokens"] < 1_000
    assert 9_900_000 < Hold.objects.get().amount_nanousd <= 10_000_000


def test_an_answer_is_never_asked_longer_than_the_window_has_room(fake, acme):
    card = make_card(acme)
    card.context_tokens = 1_000
    card.save()
    long = [{"role": "user", "content": "x" * 1_200}]

    ask(call_of(make_run(card), messages=long))
    ask(call_of(make_run(card), messages=[*long, *long]))

    assert 400 < fake.requests[0]["max_tokens"] < 1_000 - 1_200 // 3
    assert fake.requests[1]["max_tokens"] == 256


def test_thirty_callers_at_once_never_pass_the_limit(fake, acme):
    limit = 100_000_000
    run = make_run(make_card(acme), limit_nanousd=limit)

    async def asking(db):
        calls = [call_of(run, reference_prefix=f"run:{run.pk}/step:{step}") for step in range(30)]
        return await asyncio.gather(
            *(complete(call, db=db, on_text=Heard(), store=forget) for call in calls), return_exceptions=True
        )

    answers = on_a_loop(asking)

    refused = [answer for answer in answers if isinstance(answer, BudgetExceeded)]
    assert len(refused) + Usage.objects.count() == 30
    assert refused
    assert spent_nanousd() == fake.books.total_nanousd <= limit


def test_nothing_is_sent_when_not_even_a_short_answer_fits(fake, acme):
    run = make_run(make_card(acme), limit_nanousd=3_000_000)

    with pytest.raises(BudgetExceeded):
        ask(call_of(run))

    assert (fake.requests, states()) == ([], [])


def test_money_that_is_only_set_aside_for_another_call_is_waited_for(fake, acme):
    run = make_run(make_card(acme), limit_nanousd=20_000_000)
    other = ledger.hold(run.accounts.all(), 19_000_000, reference="run:0/step:0/attempt:1", model="acme/large")

    async def asking(db):
        call = asyncio.ensure_future(complete(call_of(run), db=db, on_text=Heard(), store=forget))
        await asyncio.sleep(0.2)
        waited = not call.done()
        await db.run(ledger.release, other)
        return waited, await call

    waited, answer = on_a_loop(asking)

    assert (waited, answer.text) == (True, "Hello")


def test_a_refusal_says_what_the_shortest_useful_answer_needs(fake, acme):
    run = make_run(make_card(acme), limit_nanousd=1_000)

    with pytest.raises(BudgetExceeded) as refused:
        ask(call_of(run))

    assert refused.value.needed_nanousd == pricing.estimate(run.model.price, call_of(run).bytes_bound, 256)
    assert not refused.value.may_pass


def test_nothing_is_sent_from_a_frozen_account(fake, run):
    accounts.freeze(accounts.global_account())

    with pytest.raises(AccountFrozen):
        ask(call_of(run))

    assert fake.requests == []


def test_a_model_that_is_switched_off_is_not_called(fake, run):
    run.model.active = False
    run.model.save()

    with pytest.raises(ModelUnavailable):
        ask(call_of(run))

    assert fake.requests == []


def test_who_lost_the_lease_pays_and_journals_nothing(fake, run):
    def store(completion, usage):
        journal(run)(completion, usage)
        raise LeaseLost

    with pytest.raises(LeaseLost):
        ask(call_of(run), store=store)

    assert spent_nanousd() == fake.books.total_nanousd
    assert (Message.objects.count(), states()) == (0, ["captured"])


def test_an_answer_that_cannot_be_journaled_is_paid(fake, run):
    journal(run)(ask(call_of(run), store=forget), Usage.objects.get())

    with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
        ask(call_of(run))

    assert spent_nanousd() == fake.books.total_nanousd == 8_200_000
    assert Message.objects.count() == 1
    run.refresh_from_db()
    assert run.cost_nanousd == 4_100_000


def test_attempts_of_a_step_are_numbered_through_over_restarts(fake, run):
    for _ in range(18):
        ask(call_of(run), store=forget)

    names = list(Hold.objects.order_by("pk").values_list("reference", flat=True))
    assert names == [f"run:{run.pk}/step:3/attempt:{number}" for number in range(1, 19)]


def test_the_book_is_held_against_the_bill(fake, run):
    ask(call_of(run))
    tasks.reconcile_bills()
    fake.books.enter("gen-of-somebody-else", Decimal("0.5"))
    heard = []

    def hear(reconciliation, **kwargs):
        heard.append(reconciliation)

    bill_differs.connect(hear)
    tasks.reconcile_bills()
    bill_differs.disconnect(hear)

    off, equal = Reconciliation.objects.all()
    assert (equal.verdict, equal.ours_nanousd, equal.theirs_nanousd) == ("equal", 4_100_000, 4_100_000)
    assert (off.verdict, off.difference_nanousd) == ("off", 500_000_000)
    assert heard == [off]


def test_a_call_in_flight_may_explain_what_the_provider_billed_more(fake, run):
    fake.plan.append(faults.ending_early)
    fake.answers_look_ups = False
    with pytest.raises(CallFailed):
        ask(call_of(run, patience=Patience(attempts=1)))

    tasks.reconcile_bills()

    row = Reconciliation.objects.get()
    assert (row.verdict, row.ours_nanousd, row.theirs_nanousd) == ("equal", 0, 4_100_000)


def test_after_an_overrun_more_is_set_aside_for_that_model(fake, run):
    fake.plan.append(modes.costing("1"))
    ask(call_of(run))
    dear = Hold.objects.get()

    ask(call_of(run, reference_prefix=f"run:{run.pk}/step:4"), store=forget)

    assert dear.amount_nanousd < 1_000_000_000
    assert Hold.objects.latest("pk").amount_nanousd >= min(1_000_000_000, 10 * dear.amount_nanousd)


def test_the_bill_of_a_past_day_is_read_with_a_management_key_only(fake, run, monkeypatch):
    ask(call_of(run))
    fake.books.enter("gen-of-somebody-else", Decimal("0.5"), at=timezone.now() - timedelta(days=1))
    yesterday = timezone.now() - timedelta(days=1)
    Hold.objects.update(sent_at=yesterday)
    tasks.reconcile_days()
    assert not Reconciliation.objects.exists()

    fake.manager = "sk-manager"
    monkeypatch.setenv("OPENROUTER_MANAGEMENT_KEY", "sk-manager")
    tasks.reconcile_days()
    tasks.reconcile_days()

    row = Reconciliation.objects.get()
    assert (row.source, row.day, row.verdict) == ("activity", yesterday.astimezone(UTC).date(), "off")
    assert (row.ours_nanousd, row.theirs_nanousd) == (4_100_000, 500_000_000)
    line = row.lines.get()
    assert (line.ours_nanousd, line.theirs_nanousd) == (4_100_000, 500_000_000)

    fake.books.enter("gen-that-was-billed-late", Decimal("0.5"), at=yesterday)
    tasks.reconcile_days()
    assert [row.theirs_nanousd for row in Reconciliation.objects.all()] == [1_000_000_000, 500_000_000]
