"""A call as it goes over the wire."""

from typing import Any

from django.conf import settings

from agents.client import ChatRequest
from agents.gateway import pricing
from agents.gateway.call import ModelCall
from agents.gateway.candidate import Candidate

JSON = dict[str, Any]


def request_of(call: ModelCall, model: Candidate, *, max_tokens: int, reference: str) -> ChatRequest:
    """Return the request for one attempt, which ``reference`` names.

    A plain server gets what every server takes, but what this one refused: many refuse a request for a field that they
    do not know.
    """
    knows_more = model.endpoint.speaks_openrouter
    return ChatRequest(
        model=model.model,
        messages=call.messages if knows_more else [_unnamed(message) for message in call.messages],
        tools=call.tools,
        max_tokens=max_tokens,
        temperature=float(call.run.agent.temperature),
        idempotency_key=reference,
        silence_s=call.patience.silence_s,
        fields=_openrouter(call, model, reference) if knows_more else {},
        refused=model.refused,
    )


def _unnamed(message: JSON) -> JSON:
    """Return a message that says in its text who speaks. Takes no more bytes than the name as a field."""
    if message["role"] != "user" or "name" not in message:
        return message
    return {"role": "user", "content": f"[{message['name']}] {message['content']}"}


def _openrouter(call: ModelCall, model: Candidate, reference: str) -> JSON:
    """Return OpenRouter's own fields: who asks, no endpoint dearer than what was set aside, none that keeps what it is
    sent unless the operator allows it, and no tier with prices of its own.

    Not ``require_parameters``: a request with tools goes only to endpoints that take tools anyway
    (https://openrouter.ai/docs/features/provider-routing), and for the rest it would shut out every endpoint of a model
    that thinks and therefore takes no ``temperature``, which a call can do without. Not ``models`` either: the gateway
    changes models itself, see docs/decisions.

    Anthropic caches a prompt only when asked. At the top level the mark moves along with the conversation
    (https://openrouter.ai/docs/features/prompt-caching).
    """
    cache = {"cache_control": {"type": "ephemeral"}} if model.model.startswith("anthropic/") else {}
    # Only where the list of models says that it is understood: some endpoints refuse what they do not know.
    wanted = call.run.agent.effort if model.thinks else ""
    effort = {"reasoning": {"effort": wanted}} if wanted else {}
    routing = {"max_price": pricing.max_price(model.price), "data_collection": settings.MCC_DATA_COLLECTION}
    who = {"user": f"mcc-agent-{call.run.agent_id}", "session_id": f"mcc-run-{call.run.pk}"}
    told = {"usage": {"include": True}, "trace": _trace(call, reference)}
    return {**who, **told, "provider": routing, "service_tier": "default", **cache, **effort}


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
