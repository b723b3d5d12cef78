"""What the provider tells when it is asked: records of generations, its bill, its models."""

from dataclasses import asdict
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from tests.provider.books import Generation
from tests.provider.walls import HASH, LABEL

if TYPE_CHECKING:
    from tests.provider.server import Server

Told = tuple[int, object]
NOT_FOUND: Told = (404, {"error": {"code": 404, "message": "not found"}})


def stranger(authorization: str) -> Told:
    """Return what somebody with another key is told: as some servers do, with the key that he sent."""
    return 401, {"error": {"code": 401, "message": f"Incorrect API key provided: {authorization}"}}


def tell(server: "Server", path: str) -> Told:
    """Return the status and the JSON under ``path``."""
    url = urlsplit(path)
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    name = url.path.rpartition("/")[2]
    if name in server.told:
        return server.told[name]
    match name:
        case "generation":
            return _generation(server, query.get("id", ""))
        case "key":
            return 200, {"data": _key(server)}
        case "keys":
            return 200, {"data": [_listed(server), {"hash": "0815", "label": "sk-or-v1-aaa...bbb", "limit": None}]}
        case "activity":
            day = date.fromisoformat(query["date"]) if "date" in query else None
            rows = server.books.activity(day)
            whole = [] if "api_key_hash" in query else [{**row, "model": "of/another-key"} for row in rows]
            known = query.get("api_key_hash", HASH) == HASH
            return 200, {"data": rows + whole if known else []}
        case "models":
            return 200, {"data": server.cards}
        case "books":
            return 200, [asdict(one) | {"cost_usd": str(one.cost_usd)} for one in server.books]
    return NOT_FOUND


def _generation(server: "Server", name: str) -> Told:
    if server.look_up_plan:
        return server.look_up_plan.popleft()
    found = server.books.record(name) if server.answers_look_ups else None
    return NOT_FOUND if found is None else (200, {"data": _record(found)})


def _record(found: Generation) -> dict:
    return {
        "id": found.id,
        "model": found.model,
        "provider_name": found.provider,
        "total_cost": float(found.cost_usd),
        "cancelled": found.hung_up,
        "created_at": found.begun_at.isoformat(),
        "native_tokens_prompt": found.input_tokens,
        "native_tokens_completion": found.output_tokens,
        "native_tokens_reasoning": found.reasoning_tokens,
        "native_tokens_cached": found.cached_tokens,
        "is_byok": False,
        "upstream_inference_cost": None,
    }


def change_key(server: "Server", path: str, body: dict) -> Told:
    """Limit the key that calls models, and return what it is by then, or what is to be told in its place."""
    if path.rpartition("/")[2] != HASH:
        return NOT_FOUND
    limit = body.get("limit")
    server.wall.limit = None if limit is None else Decimal(str(limit))
    server.wall.resets = body.get("limit_reset")
    return server.told.get(HASH, (200, {"data": _listed(server)}))


def _listed(server: "Server") -> dict:
    return {"hash": HASH, "name": "Mission Control", "disabled": False, **_key(server)}


def _key(server: "Server") -> dict:
    books, left = server.books, server.wall.left(server.books)
    today = books.clock().replace(hour=0, minute=0, second=0, microsecond=0)
    begins = {
        "usage": datetime.min.replace(tzinfo=today.tzinfo),
        "usage_daily": today,
        "usage_weekly": today - timedelta(days=today.weekday()),
        "usage_monthly": today.replace(day=1),
    }
    used = {name: float(books.usage_usd(since)) for name, since in begins.items()}
    limit = None if server.wall.limit is None else float(server.wall.limit)
    limited = {
        "limit": limit,
        "limit_reset": server.wall.resets,
        "limit_remaining": 7.5 if left is None else float(left),
    }
    return {"label": LABEL, **used, "byok_usage_daily": 0, **limited}
