"""How a request is put to a server that refuses some of its fields.

There is no list of who takes what: OpenAI's newer models refuse ``max_tokens`` and every temperature but their own,
some servers each field that they do not know. Their refusals name the field, before anything is generated.
"""

import json
import re
from collections.abc import Collection
from typing import Any, Final

JSON = dict[str, Any]

RENAMED: Final = {"max_tokens": "max_completion_tokens"}
"""Goes by another name then, and never missing: it is what bounds the cost of an answer."""
LEFT_OUT: Final = ("temperature", "stream_options")
"""What an answer can do without. Who is not asked for its usage tells it anyway, or is charged at the hold."""
STATUSES: Final = frozenset({400, 422})
MOST_CHARS: Final = 4_000


def refused_fields(status: int, body: object) -> frozenset[str]:
    """Return which fields of our requests an HTTP refusal names. Nobody agrees where: it is looked for in all of it."""
    if status not in STATUSES:
        return frozenset()
    words = frozenset(re.findall(r"\w+", json.dumps(body, default=str)[:MOST_CHARS]))
    # ``max_tokens`` alone is also named where it is only too large.
    renamed = {name for name, other in RENAMED.items() if {name, other} <= words}
    return frozenset(renamed | words.intersection(LEFT_OUT))


def put(body: JSON, refused: Collection[str]) -> JSON:
    """Return ``body`` as a server takes it that refused these fields of it."""
    taken = {name: value for name, value in body.items() if name not in refused}
    return taken | {other: body[name] for name, other in RENAMED.items() if name in refused}
