"""A model of 135 million parameters is made the whole team. It fails; what counts is how."""

import pytest

from agents.models import Outcome
from tests.journeys import auditor
from tests.journeys.company import Company
from tests.llm.thinker import ANSWER_USD, PROMPT_USD, Thinker
from tests.provider import Server

pytestmark = [pytest.mark.journey, pytest.mark.sandbox, pytest.mark.timeout(2_400)]

MODEL = "smollm/smollm2-135m"
OVER = "select count(*) > 0 from agents_run where status = 'finished'"
ASKED = "select count(*) > 0 from projects_request where answered_at is null"
LIMIT_NANOUSD = 2 * 10**9


@pytest.fixture
def thinker():
    thinker = Thinker()
    yield thinker
    thinker.close()


@pytest.fixture
def provider(thinker):
    server = Server(usual=thinker)
    server.cards = [
        {
            "id": MODEL,
            "context_length": thinker.window,
            "top_provider": {"context_length": thinker.window, "max_completion_tokens": 1_000},
            "supported_parameters": ["tools", "temperature"],
            "pricing": {"prompt": str(PROMPT_USD), "completion": str(ANSWER_USD)},
        }
    ]
    yield server
    server.close()


@pytest.fixture
def company(provider, tmp_path):
    company = Company(
        tmp_path,
        OPENROUTER_API_KEY="sk-or-small",
        OPENROUTER_BASE_URL=provider.url,
        MCC_DEFAULT_MODEL=MODEL,
    )
    company.start()
    yield company
    company.kill()


def test_a_small_model_comes_to_a_true_end_within_its_limits_and_pays_what_it_used(company, provider):
    issue = company.demo_issue()
    [account] = [row["id"] for row in company.pages("budgets/") if row["name"] == "DEMO-1"]
    company.call("PUT", f"budgets/{account}/limits/total/", {"amount_usd": "2"})

    company.call("POST", f"issues/{issue}/start/")
    company.wait_for(OVER, timeout_s=1_800)
    company.wait_for(ASKED, timeout_s=60)

    ended = company.rows("select * from agents_run where status = 'finished'")
    for run in ended:
        print(f"{run['purpose']}: {run['outcome']} after {run['step']} steps: {run['outcome_detail']}")
        assert run["outcome"] in set(Outcome.values) - {Outcome.CRASHED, Outcome.SANDBOX}
        assert run["outcome_detail"], "a person is told why"
    assert company.rows("select * from agents_message where role = 'assistant'"), "it was the model that failed"
    company.stop()
    booked = {row["generation_id"]: row["cost_nanousd"] for row in company.rows("select * from budgets_usage")}
    billed = {one.id: one.cost_nanousd for one in provider.books if one.cost_nanousd}
    assert booked == billed
    assert 0 < sum(booked.values()) <= LIMIT_NANOUSD
    auditor.every_step_is_charged_once(company)
