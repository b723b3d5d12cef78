"""GitHub's published description, by which every answer of the simulator is judged.

``githubkit`` is generated from it: its methods say which path answers with which model. That is read from its source,
so no table of ours can be wrong or stale.
"""

import json
import re
from functools import cache
from pathlib import Path

import githubkit_schemas.v2022_11_28 as published
from githubkit_schemas.v2022_11_28 import models
from pydantic import TypeAdapter, ValidationError

from githubsync.simulator import Exchange, oauth, storage

SUBJECTS = ("actions", "apps", "checks", "git", "issues", "meta", "pulls", "rate_limit", "reactions", "repos", "users")
URL = re.compile(r'url = (?:\(\s*)?f?"(/[^"]*)"')
VERB = re.compile(r'self\._github\.request\(\s*"([A-Z]+)"')
MODEL = re.compile(r"response_model=(.+?),\n\s+(?:error_models|\))", re.S)
GRANT = {"access_token", "token_type", "scope"}
ENDING = {"expires_in", "refresh_token", "refresh_token_expires_in"}
ERROR = {"message", "documentation_url", "status"}


@cache
def answers() -> dict[tuple[str, str], str]:
    """Return the model of the good answer for each (method, path); "" where it has no body."""
    found = {}
    for subject in SUBJECTS:
        source = (Path(published.__path__[0]) / "rest" / f"{subject}.py").read_text()
        for method in re.split(r"\n    (?:async )?def ", source):
            url, verb, model = URL.search(method), VERB.search(method), MODEL.search(method)
            if url and verb:
                found[verb[1], url[1]] = re.sub(r"\s+", "", model[1]) if model else ""
    return found


@cache
def _adapter(expression: str) -> TypeAdapter:
    words = set(re.findall(r"[A-Z]\w+", expression)) - {"Union", "None"}
    names = {name: getattr(models, name) for name in words}
    return TypeAdapter(eval(expression, {"Union": __import__("typing").Union}, names))


def deviations(exchange: Exchange) -> list[str]:
    """Return how an answer differs from what GitHub publishes."""
    where = f"{exchange.method} {exchange.route} {exchange.status}"
    if exchange.is_git or (exchange.fault and not exchange.route):
        return []  # a fault that hid an answer which was never made
    if exchange.route == oauth.ROUTE:
        return [f"{where}: {wrong}" for wrong in _oauth_deviations(exchange)]
    if exchange.route == storage.PREFIX:
        return []  # no part of GitHub's description
    if exchange.status == 302:
        return [] if answers().get((exchange.method, exchange.route)) == "" else [f"{where}: GitHub redirects nowhere"]
    if exchange.status >= 300:
        whole = exchange.status == 304 or set(exchange.body) >= ERROR
        return [] if whole else [f"{where}: not an error of GitHub's: {exchange.body}"]
    if exchange.route == "graphql":
        return []
    expression = answers().get((exchange.method, exchange.route))
    if expression is None:
        return [f"{where}: GitHub has no such endpoint"]
    if not expression:
        return [] if exchange.body is None else [f"{where}: this has no body at GitHub"]
    try:
        _adapter(expression).validate_json(json.dumps(exchange.body), strict=True)
    except ValidationError as error:
        return [f"{where}: {'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:10]]
    return []


def _oauth_deviations(exchange: Exchange) -> list[str]:
    """Judge an answer of the web flow by what GitHub's pages on it say: no description has it."""
    if not isinstance(exchange.body, dict):
        return []
    told = set(exchange.body)
    if exchange.status == 404:
        return [] if told == {"error"} else [f"no 404 of GitHub's: {told}"]
    if exchange.status != 200:
        return ["GitHub answers 200, whatever it says"]
    whole = [GRANT, GRANT | ENDING, {"error", "error_description", "error_uri"}]
    return [] if told in whole else [f"neither a token nor an error of GitHub's: {told}"]


def webhook_deviations(event: str, payload: dict[str, object]) -> list[str]:
    """Return how the payload of a webhook differs from what GitHub publishes."""
    words = f"webhook_{event}_{payload.get('action', '')}".split("_")
    name = "".join(word.capitalize() for word in words)
    try:
        _adapter(name).validate_json(json.dumps(payload), strict=True)
    except AttributeError:
        return [f"GitHub has no {name}"]
    except ValidationError as error:
        return [f"{name}: {'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:10]]
    return []
