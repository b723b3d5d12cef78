"""Hooks of a repository, the one hook of an App, and what was delivered by them."""

from collections.abc import Callable
from typing import Any

from githubsync.simulator.hooks import TYPES, Hook, Sent
from githubsync.simulator.routes.apps import as_app
from githubsync.simulator.routing import REPO, Answer, Call, Refusal, invalid, route
from githubsync.simulator.things import now

HOOKS = REPO + "/hooks"
HOOK = HOOKS + "/{hook_id}"
READ = {"needs": "repository_hooks:read", "role": "admin"}
WRITE = {"needs": "repository_hooks:write", "role": "admin"}
MOST_HOOKS = 20


def _hook(call: Call, hook_id: str) -> Hook:
    found = next((hook for hook in call.repo.hooks if str(hook.id) == hook_id), None)
    if found is None:
        raise Refusal(404, "Not Found")
    return found


def _configure(hook: Hook, config: dict[str, Any]) -> None:
    """Take over what ``config`` says of where and how to send. Raises Refusal 422."""
    kind = config.get("content_type", hook.content_type)
    if kind not in TYPES:
        raise invalid("Hook", field="content_type", message="content_type must be json or form")
    hook.url, hook.content_type = str(config.get("url", hook.url)), kind
    hook.secret = str(config.get("secret", hook.secret))
    hook.insecure_ssl = str(config.get("insecure_ssl", hook.insecure_ssl))
    hook.updated_at = now()
    if not hook.url.startswith(("http://", "https://")):
        raise invalid("Hook", field="url", message="url is missing a scheme")


def _ping(call: Call, hook: Hook) -> None:
    call.tell("ping", None, hook=hook)


@route("GET", HOOKS, **READ)
def listed(call: Call) -> Answer:
    return call.listing(call.repo.hooks, lambda hook: call.shapes.hook(call.repo, hook))


@route("POST", HOOKS, **WRITE)
def create(call: Call) -> Answer:
    config = call.body.get("config")
    if not isinstance(config, dict) or not config.get("url"):
        raise invalid("Hook", field="url", code="missing_field")
    events = list(call.body.get("events", ["push"]))
    hook = Hook(call.world.next_id(), call.repo.id, False, "", events, active=bool(call.body.get("active", True)))
    _configure(hook, config)
    if any((other.url, other.events) == (hook.url, events) for other in call.repo.hooks):
        raise invalid("Hook", message="Hook already exists on this repository")
    if len(call.repo.hooks) >= MOST_HOOKS:
        raise invalid("Hook", message='The "push" event cannot have more than 20 hooks')
    call.repo.hooks.append(hook)
    _ping(call, hook)
    return Answer(201, call.shapes.hook(call.repo, hook))


@route("GET", HOOK, **READ)
def get(call: Call, hook_id: str) -> Answer:
    return Answer(200, call.shapes.hook(call.repo, _hook(call, hook_id)))


@route("PATCH", HOOK, **WRITE)
def update(call: Call, hook_id: str) -> Answer:
    hook, body = _hook(call, hook_id), call.body
    _configure(hook, body.get("config") or {})
    asked = [*body.get("events", hook.events), *body.get("add_events", [])]
    hook.events = [event for event in dict.fromkeys(asked) if event not in body.get("remove_events", [])]
    hook.active = bool(body.get("active", hook.active))
    return Answer(200, call.shapes.hook(call.repo, hook))


@route("DELETE", HOOK, **WRITE)
def delete(call: Call, hook_id: str) -> Answer:
    call.repo.hooks.remove(_hook(call, hook_id))
    return Answer(204)


@route("POST", HOOK + "/pings", **READ)
def ping(call: Call, hook_id: str) -> Answer:
    _ping(call, _hook(call, hook_id))
    return Answer(204)


def _both(method: str, below: str, **needs: str) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
    """Answer at the hook of a repository and at that of an App with the same function of a call and a hook."""

    def register(handler: Callable[..., Answer]) -> Callable[..., Answer]:
        @route(method, HOOK + below, **needs)
        def of_repository(call: Call, hook_id: str, **rest: str) -> Answer:
            return handler(call, _hook(call, hook_id), **rest)

        @route(method, "/app/hook" + below)
        def of_app(call: Call, **rest: str) -> Answer:
            return handler(call, as_app(call).hook, **rest)

        return handler

    return register


@_both("GET", "/config", **READ)
def config(call: Call, hook: Hook) -> Answer:
    return Answer(200, call.shapes.hook_config(hook))


@_both("PATCH", "/config", **WRITE)
def update_config(call: Call, hook: Hook) -> Answer:
    _configure(hook, call.body)
    hook.active = hook.active or hook.of_app
    return Answer(200, call.shapes.hook_config(hook))


@_both("GET", "/deliveries", **READ)
def deliveries(call: Call, hook: Hook) -> Answer:
    """Newest first, by cursor: what is sent meanwhile moves nothing to another page."""
    before, size = call.query.get("cursor", ""), int(call.query.get("per_page", 30))
    found = [one for one in reversed(hook.deliveries) if not before or one.id <= int(before.removeprefix("v1_"))]
    headers = {}
    if len(found) > size:
        query = {**call.query, "cursor": f"v1_{found[size].id}"}
        headers = {"Link": f'<{call.shapes.query_url(call.path, query)}>; rel="next"'}
    return Answer(200, [call.shapes.sent(one) for one in found[:size]], headers)


def _sent(hook: Hook, delivery_id: str) -> Sent:
    found = next((one for one in hook.deliveries if str(one.id) == delivery_id), None)
    if found is None:
        raise Refusal(404, "Not Found")
    return found


@_both("GET", "/deliveries/{delivery_id}", **READ)
def delivery(call: Call, hook: Hook, delivery_id: str) -> Answer:
    return Answer(200, call.shapes.sent(_sent(hook, delivery_id), whole=True))


@_both("POST", "/deliveries/{delivery_id}/attempts", **WRITE)
def redeliver(call: Call, hook: Hook, delivery_id: str) -> Answer:
    sent = _sent(hook, delivery_id)
    call.courier.send(hook, sent.event, sent.payload, guid=sent.guid)
    return Answer(202, {})
