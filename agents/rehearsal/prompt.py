"""A request as the rehearsal model reads it. It knows what every model is told, and nothing else."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

JSON = dict[str, Any]
ORDER = "mission_control"
"""The ``name`` of messages that are work orders."""


@dataclass(frozen=True)
class Prompt:
    """The body of a chat-completions request."""

    body: JSON

    @property
    def messages(self) -> Sequence[JSON]:
        return self.body.get("messages", [])

    @property
    def trace(self) -> JSON:
        return self.body.get("trace") or {}

    @property
    def purpose(self) -> str:
        return str(self.trace.get("mcc_purpose") or "chat")

    @property
    def task(self) -> str:
        return str(self.trace.get("mcc_task") or "")

    @property
    def issue(self) -> str:
        return str(self.trace.get("mcc_issue") or "")

    @property
    def round(self) -> str:
        return str(self.trace.get("mcc_round") or "0")

    @cached_property
    def _order_at(self) -> int | None:
        """Return the place of the last work order."""
        places = [n for n, m in enumerate(self.messages) if m.get("role") == "user" and m.get("name") == ORDER]
        return places[-1] if places else None

    @property
    def order(self) -> str:
        """Return the text of the last work order, or of the last thing that somebody said."""
        if self._order_at is not None:
            return _text(self.messages[self._order_at])
        said = [message for message in self.messages if message.get("role") == "user"]
        return _text(said[-1]) if said else ""

    @property
    def turn(self) -> int:
        """Return how many answers were given since the last order."""
        since = self.messages[self._order_at or 0 :]
        return sum(message.get("role") == "assistant" for message in since)

    @property
    def requirement(self) -> str:
        """Return all that the company and people said: system prompt, pinned block, orders."""
        return "\n\n".join(_text(message) for message in self.messages if message.get("role") in ("system", "user"))

    @property
    def definition_of_done(self) -> list[str]:
        """Return the items of the last list under a heading "Definition of done"."""
        lines: list[str] = []
        collecting = False
        for line in self.requirement.splitlines():
            if re.fullmatch(r"\W*definition of done\W*", line, re.IGNORECASE):
                lines, collecting = [], True
            elif collecting and (item := re.fullmatch(r"\s*[-*] (?:\[.\] )?(.+)", line)):
                lines.append(item[1].strip())
            elif line.strip():
                collecting = False
        return lines

    @property
    def serialised(self) -> list[bytes]:
        """Return tools and messages as bytes, in the order in which a cache of prefixes sees them."""
        return [json.dumps(part, ensure_ascii=False).encode(errors="replace") for part in (self.tools, *self.messages)]

    @property
    def tools(self) -> Sequence[JSON]:
        return self.body.get("tools") or []

    def offers(self, name: str) -> bool:
        """Say whether the model may call the tool ``name``."""
        return any((tool.get("function") or {}).get("name") == name for tool in self.tools)


def _text(message: JSON) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text", "") for part in content if isinstance(part, dict))
