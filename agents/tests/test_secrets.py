"""Secrets are planted wherever one could lie, a run works among them, and nobody finds one again."""

import json
import logging

import pytest
from django.apps import apps
from django.core import serializers
from django.urls import reverse

from agents.models import Artifact, Purpose
from agents.services import runs, staff
from agents.tests import workbench
from agents.tests.calls import make_card
from agents.tests.workbench import finished, hosted, until
from agents.tools.registry import ToolContext, ToolResult, tool
from budgets.models import Hold
from mcc.core import redaction
from mcc.core.errors import DomainError
from mcc.core.models import User
from projects.models import Assignment
from projects.tests import factories
from tests.provider import modes

pytestmark = pytest.mark.django_db(transaction=True)

IN_ENVIRONMENT = "planted-in-environment-1"
OF_PROVIDER = "sk-acme-secret"
IN_FILE = "sk-or-v1-" + "0f" * 32
IN_ISSUE = "ghp_" + "a1B2c3" * 6
IN_URL = "planted-in-url-42"
PLANTED = (IN_ENVIRONMENT, OF_PROVIDER, IN_FILE, IN_ISSUE, IN_URL)
_NOTHING = {"type": "object", "properties": {}}


@tool("read_settings", "Read a file that holds secrets.", _NOTHING)
def read_settings(context: ToolContext) -> ToolResult:
    text = f"OPENROUTER={IN_FILE}\nTOKEN={IN_ENVIRONMENT}\nurl = https://bot:{IN_URL}@host/x\nkey {OF_PROVIDER}"
    network = [{"subject": f"{IN_ENVIRONMENT}:443", "why": f"no way to {IN_URL}"}]
    return ToolResult(text, full_output=text * 3, detail={"path": f"/{IN_ENVIRONMENT}", "network": network})


@tool("be_refused", "Be refused in words that hold a secret.", _NOTHING)
def be_refused(context: ToolContext) -> ToolResult:
    raise DomainError(f"no access for {IN_ENVIRONMENT}")


@tool("break_loudly", "Meet a bug that tells a secret.", _NOTHING)
def break_loudly(context: ToolContext) -> ToolResult:
    raise ZeroDivisionError(f"connecting to postgres://mcc:{IN_URL}@db with {IN_ENVIRONMENT}")


def calling(name, arguments="{}"):
    def mode(answer):
        answer.open()
        call = {"index": 0, "id": "a", "type": "function", "function": {"name": name, "arguments": arguments}}
        answer.delta({"tool_calls": [call]})
        answer.finish("tool_calls")
        answer.usage()
        answer.done()

    return mode


def echoing(status):
    """Refuse with everything that was sent, as debugging proxies do."""

    def mode(answer):
        sent = dict(answer.handler.headers.items())
        message = f"no: {sent} {IN_ENVIRONMENT} {IN_FILE}"
        answer.refuse(status, {"code": status, "message": message, "metadata": {"raw": json.dumps(sent)}})

    return mode


@pytest.fixture
def planted(monkeypatch):
    monkeypatch.setattr(redaction, "_known", ())
    redaction.register_environment({"PLANTED_TOKEN": IN_ENVIRONMENT, "SOME_URL": f"redis://:{IN_URL}@cache/0"})


@pytest.fixture
def log():
    """What handlers with the formatter of the settings write."""
    lines = []
    console = logging.getLogger().handlers[0] if logging.getLogger().handlers else None
    assert isinstance(console.formatter, redaction.Formatter)

    class Listener(logging.Handler):
        def emit(self, record):
            lines.append(self.format(record))

    listener = Listener()
    listener.setFormatter(console.formatter)
    logging.getLogger().addHandler(listener)
    yield lines
    logging.getLogger().removeHandler(listener)


def found_in(text):
    return [secret for secret in PLANTED if secret in text]


def all_rows():
    """Every row of every table, as text."""
    models = [model for model in apps.get_models() if model._meta.app_label in ("core", "budgets", "agents")]
    return "\n".join(serializers.serialize("json", model._default_manager.all()) for model in models)


def pages_of(client, run):
    client.force_login(User.objects.create_superuser("boss", password=None))
    outputs = [reverse("projects:output", args=[row.pk]) for row in run.messages.filter(role="tool")]
    addresses = [
        reverse("projects:run", args=[run.pk]),
        reverse("agents:agent", args=[run.agent.name]),
        reverse("agents:list"),
        reverse("projects:issue", args=[run.assignment.issue.key]),
        f"/api/v1/runs/{run.pk}/",
        f"/api/v1/runs/{run.pk}/messages/",
        *outputs,
    ]
    answers = [client.get(address) for address in addresses]
    assert [answer.status_code for answer in answers] == [200] * len(answers)
    return "\n".join(b"".join(answer).decode() for answer in answers)


def work(card, fake, plan):
    fake.plan.extend(plan)
    order = f"Use {IN_ISSUE} and {IN_ENVIRONMENT}; see https://bot:{IN_URL}@host/x."
    issue, ada, who = factories.issue(), User.objects.create_user("ada"), workbench.make_agent(card=card)
    staff.change(
        who,
        user=ada,
        model=card,
        temperature=who.temperature,
        max_tokens=1_000,
        system_prompt=f"You know {IN_ENVIRONMENT}.",
        tools=[],
        active=True,
    )
    run = workbench.start(order, who, purpose=Purpose.IMPLEMENT, accounts=[issue.account], stream=issue.stream)
    Assignment.objects.create(issue=issue, run=run, handled=True)
    runs.say(run.conversation, f"And {IN_FILE}!", user=ada)
    with hosted():
        until(lambda: finished(run), 30)
    run.refresh_from_db()
    return run


def test_no_secret_reaches_the_provider_the_log_a_page_or_a_row(fake, acme, planted, log, client):
    plan = [
        echoing(503),
        calling("read_settings"),
        calling("be_refused"),
        calling("jot", json.dumps({"text": f"I repeat {OF_PROVIDER}"})),
        calling("submit_jot"),
    ]

    run = work(make_card(acme), fake, plan)

    assert (run.outcome, len(fake.requests)) == ("submitted", 5)
    assert found_in(json.dumps(fake.requests)) == []
    assert found_in("\n".join(log)) == []
    assert found_in(all_rows()) == []
    assert found_in(pages_of(client, run)) == []
    assert redaction.MASK in Artifact.objects.get().content
    assert redaction.MASK in Hold.objects.order_by("pk")[0].note
    assert fake.headers[0]["authorization"] == f"Bearer {OF_PROVIDER}"


def test_a_crash_tells_no_secret(fake, acme, planted, log, client, monkeypatch):
    monkeypatch.setattr("agents.runner.states.CRASH_PAUSE_S", 0.01)

    run = work(make_card(acme), fake, [calling("break_loudly")])

    assert run.outcome == "crashed"
    assert f"postgres://mcc:{redaction.MASK}@db" in run.outcome_detail
    assert "ZeroDivisionError" in "\n".join(log)
    assert found_in("\n".join(log) + all_rows() + pages_of(client, run)) == []


def test_a_refusal_for_good_tells_no_secret(fake, acme, planted, log, client):
    run = work(make_card(acme), fake, [echoing(400)])

    assert run.outcome == "provider"
    assert "acme answered 400" in run.outcome_detail
    assert found_in("\n".join(log) + all_rows() + pages_of(client, run)) == []


def test_what_became_known_after_it_was_journaled_is_held_back_at_the_gateway(fake, acme, planted):
    late = "nobody-knew-me-before-1"
    card = make_card(acme)
    run = workbench.start(f"Use {late}.", workbench.make_agent(card=card), purpose=Purpose.CHAT)
    redaction.register(late)
    fake.plan.append(modes.plain)

    with hosted():
        until(lambda: finished(run), 30)

    assert late not in json.dumps(fake.requests)
    assert redaction.MASK in json.dumps(fake.requests)


def test_a_prompt_without_secrets_leaves_as_it_is(fake, acme, planted):
    text = 'Quotes "here", ümläuts, \\n and 🚀.'
    run = workbench.start(text, workbench.make_agent(card=make_card(acme)), purpose=Purpose.CHAT)

    with hosted():
        until(lambda: finished(run), 30)

    assert fake.requests[0]["messages"][-1]["content"] == text
