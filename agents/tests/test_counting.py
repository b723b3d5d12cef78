"""What a provider has counted is not bounded by bytes again: a run sets aside little more than its steps cost."""

import pytest

from agents.gateway import Counted
from agents.tests import workbench
from agents.tests.calls import PROMPT, call_of, make_card, make_run
from agents.tests.workbench import book, call, finished, hosted, rehearsed, start, until
from budgets.models import Account, Hold, Usage
from budgets.services import accounts

pytestmark = pytest.mark.django_db(transaction=True)
LONG = "All work and no play makes a dull order. " * 500
SHORT_ANSWER = 300


@pytest.fixture(autouse=True)
def fast_model(settings):
    settings.MCC_REHEARSAL_LATENCY_S = 0


def test_only_what_is_new_is_bounded_by_its_bytes(acme):
    call = call_of(make_run(make_card(acme)), messages=[*PROMPT, {"role": "user", "content": "x" * 400}])
    counted = Counted(messages=2, tokens=40, model="acme/large")

    close = call_of(call.run, messages=call.messages, counted=counted).bound_for("acme/large")

    assert 40 + 400 <= close < 40 + 400 + 100 < call.bytes_bound


def test_what_another_model_counted_says_nothing(acme):
    call = call_of(make_run(make_card(acme)), counted=Counted(messages=1, tokens=1, model="acme/small"))

    assert call.bound_for("acme/large") == call.bytes_bound


def test_a_count_that_cannot_be_is_not_believed(acme):
    messages = [{"role": "user", "content": "x" * 16_000}, {"role": "user", "content": "go on"}]
    call = call_of(make_run(make_card(acme)), messages=messages, counted=Counted(1, 1, "acme/large"))

    assert 1_000 <= call.bound_for("acme/large") < 1_200


def test_steps_set_aside_little_more_than_they_cost_and_never_less():
    agent = workbench.make_agent(max_tokens=SHORT_ANSWER)
    with rehearsed(*[call("jot", text=f"note {number}") for number in range(5)], call("submit_jot")) as order:
        run = start(f"{order} {LONG}", agent)
        with hosted():
            until(lambda: finished(run))

    holds = list(Hold.objects.order_by("pk").select_related("usage"))
    costs = [hold.usage.input_tokens * 1_000 + SHORT_ANSWER * 5_000 for hold in holds]
    ratios = [hold.amount_nanousd / cost for hold, cost in zip(holds, costs, strict=True)]
    assert (book(run).run.outcome, len(holds)) == ("submitted", 6)
    assert ratios[0] > 3
    assert all(1 <= ratio < 1.25 for ratio in ratios[1:]), ratios
    assert not Usage.objects.filter(overrun_nanousd__gt=0).exists()


def test_a_budget_that_the_bytes_of_a_prompt_would_pass_lets_the_run_go_on():
    limit_nanousd = 30_000_000
    agent = workbench.make_agent(max_tokens=SHORT_ANSWER)
    issue = accounts.open_account(Account.Kind.ISSUE, "issue 1")
    accounts.set_limit(issue, limit_nanousd, period="total")
    with rehearsed(call("jot", text="one"), call("submit_jot")) as order:
        run = start(f"{order} {LONG}", agent, accounts=[issue])
        with hosted():
            until(lambda: finished(run))

    first, second = Hold.objects.order_by("pk").select_related("usage")
    assert book(run).run.outcome == "submitted"
    # By its bytes the second step needs what the first one needed, and more.
    assert first.usage.cost_nanousd + first.amount_nanousd > limit_nanousd > second.amount_nanousd
