"""A call as it goes over the wire."""

from typing import Any

from django.conf import settings

from agents.client import ChatRequest
from agents.gateway import pricing
from agents.gateway.call import ModelCall
from agents.gateway.candidate import Candidate

JSON = dict[str, Any]


def request_of(call: ModelCall, model: Candidate, *, max_tokens: int, reference: str) -> ChatRequest:
    """Return the request for one attempt, which ``reference`` names."""
    run = call.run
    return ChatRequest(
        model=model.model,
        messages=call.messages,
        tools=call.tools,
        max_tokens=max_tokens,
        temperature=float(run.agent.temperature),
        user=f"mcc-agent-{run.agent_id}",
        idempotency_key=reference,
        silence_s=call.patience.silence_s,
        fields={
            "session_id": f"mcc-run-{run.pk}",
            "trace": _trace(call, reference),
            **(_openrouter(call, model) if model.endpoint.speaks_openrouter else {}),
        },
    )


def _openrouter(call: ModelCall, model: Candidate) -> JSON:
    """Return OpenRouter's own fields: no endpoint dearer than what was set aside, none that keeps what it is sent
    unless the operator allows it, and no tier with prices of its own.

    Not ``require_parameters``: a request with tools goes only to endpoints that take tools anyway
    (https://openrouter.ai/docs/features/provider-routing), and for the rest it would shut out every endpoint of a model
    that thinks and therefore takes no ``temperature``, which a call can do without. Not ``models`` either: the gateway
    changes models itself, see docs/decisions.

    Anthropic caches a prompt only when asked. At the top level the mark moves along with the conversation
    (https://openrouter.ai/docs/features/prompt-caching).
    """
    cache = {"cache_control": {"type": "ephemeral"}} if model.model.startswith("anthropic/") else {}
    # Only where the list of models says that it is understood: some endpoints refuse what they do not know.
    told = call.run.agent.effort if model.thinks else ""
    effort = {"reasoning": {"effort": told}} if told else {}
    routing = {"max_price": pricing.max_price(model.price), "data_collection": settings.MCC_DATA_COLLECTION}
    return {"usage": {"include": True}, "provider": routing, "service_tier": "default", **cache, **effort}


def _trace(call: ModelCall, reference: str) -> JSON:
    """Return what the provider's records will say about the call. The run's own part keeps its names."""
    own = {key if key.startswith("mcc_") else f"mcc_{key}": value for key, value in call.run.trace.items()}
    return {
        "mcc_issue": "",
        "mcc_task": "",
        **own,
        "mcc_role": call.run.agent.role,
        "mcc_purpose": call.purpose or call.run.purpose,
        "mcc_run": str(call.run.pk),
        "mcc_attempt": reference,
    }
