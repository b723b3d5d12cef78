"""The engine's numbers, and whether agents can work: a sandbox that holds, a model that answers to our key."""

from collections.abc import Mapping

from django.db.models import Count

from agents import client, supply
from agents.endpoint import Endpoint, KeySource
from agents.errors import CallFailed
from agents.models import Agent, Breaker, Outcome, Provider, Run
from agents.sandbox import choice, proof
from agents.sandbox.errors import SandboxError
from mcc.core import metrics
from mcc.core.doctor import Finding, check, fail, ok, warn
from mcc.core.money import usd_display


@metrics.gauge("mcc_runs", "Runs that are not over, by status.", label="status")
def runs() -> Mapping[str, int]:
    found = dict(Run.objects.filter(status__in=Run.OPEN).order_by().values_list("status").annotate(Count("pk")))
    return {status.value: found.get(status.value, 0) for status in Run.OPEN}


@metrics.counter("mcc_runs_finished_total", "Runs that are over, by outcome.", label="outcome")
def finished() -> Mapping[str, int]:
    found = dict(Run.objects.exclude(outcome="").order_by().values_list("outcome").annotate(Count("pk")))
    return {outcome: found.get(outcome, 0) for outcome in Outcome.values}


@metrics.gauge("mcc_breakers_open", "Models that calls are kept away from.")
def breakers_open() -> int:
    return Breaker.objects.filter(retry_at__isnull=False).count()


@metrics.gauge("mcc_providers_suspended", "Providers that nobody can use until a person puts something right.")
def providers_suspended() -> int:
    return Provider.objects.filter(active=True, suspended_at__isnull=False).count()


@check("Supply")
def supplied() -> Finding:
    for suspended in supply.suspended_providers():
        name, waiting = suspended.provider.name, suspended.waiting
        return fail(f"{name} {suspended.says}: {waiting} runs wait", f"{suspended.to_do} Then press Check again.")
    if failing := supply.failing_models():
        told = "; ".join(f"{each.name}: {each.then} ({each.breaker.reason[:100]})" for each in failing)
        return warn(f"failing: {told}", "Agents with another model go on with that one; look at the provider's status.")
    return ok("every provider and model can be called")


@check("Limits at providers")
def walls() -> Finding:
    followers = Provider.objects.filter(wall_period__gt="")
    if behind := followers.exclude(wall_problem="").first():
        return warn(f"{behind}'s limit on our key does not follow ours: {behind.wall_problem}", "See its page.")
    return ok(f"{followers.count()} follow the company's limit")


@check("Sandbox")
def sandbox() -> Finding:
    try:
        backend = choice()
        found = backend.probe()
        if not found.available:
            return fail(f"{found.why} No agent can run a command.", found.hint)
        leaks = proof.leaks(backend)
    except SandboxError as error:
        return fail(f"no agent can run a command: {error}", getattr(error, "hint", "Look at the message."))
    if leaks:
        return fail(f"{backend.name} {found.version} does not hold: {'; '.join(leaks)}", "Stop the workers; report it.")
    return ok(
        f"{backend.name} {found.version}: a trial saw no network, no secrets and nobody else's processes; "
        + "; ".join(found.terms)
    )


@check("Models")
def models() -> Finding:
    rehearsing = Agent.objects.filter(active=True, model__provider__kind=Provider.Kind.REHEARSAL).count()
    brokers = Provider.objects.filter(kind=Provider.Kind.OPENROUTER, active=True).order_by("pk")
    openrouter = next((row for row in brokers if Endpoint.of(row).key_source is not KeySource.NONE), None)
    if openrouter is None:
        return warn("no key, so agents rehearse", "Store one on the page Providers, or set OPENROUTER_API_KEY in .env.")
    try:
        key = client.key(Endpoint.of(openrouter))
    except CallFailed as failure:
        return fail(failure.detail, "Look at the key, at OPENROUTER_BASE_URL and at the network.")
    left = "no limit of its own" if key.left_nanousd is None else f"{usd_display(key.left_nanousd)} left"
    text = f"{openrouter} takes the key ({left})"
    if rehearsing:
        return warn(f"{text}, but {rehearsing} agents still rehearse", "Choose a model for them on their pages.")
    return ok(text)
