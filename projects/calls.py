"""Tool calls as people read them: an icon, what was called with what, how it ended, and the rest to unfold.

Arguments and results are the model's: hostile text that is shown, never believed. A call gets a drawing of its own (a
plan, a vote) only once the tool has accepted its arguments.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agents import guards
from agents.models import Message
from mcc.core import highlight
from mcc.core.highlight import FileDiff

LOOKS = {
    "run": ("terminal", "Run", "command"),
    "view": ("eye", "View", "path"),
    "search": ("search", "Search", "pattern"),
    "edit": ("file-diff", "Edit", "path"),
    "apply_patch": ("file-diff", "Patch", ""),
    "create": ("file-code", "Create", "path"),
    "remember": ("book-open", "Remember", "text"),
    "recall": ("history", "Recall", "query"),
    "message": ("message-square", "Tell", "to"),
    "ask": ("circle-help", "Ask", "question"),
    "submit_plan": ("list-checks", "Submit plan", ""),
    "submit_work": ("git-pull-request", "Submit work", "summary"),
    "submit_test_report": ("flask-conical", "Test report", "verdict"),
    "submit_review": ("eye", "Review", "verdict"),
    "propose_issue": ("sparkles", "Propose", "title"),
    "submit_report": ("file-text", "Report", ""),
}
DRAWN = {
    "message": "message",
    "submit_plan": "plan",
    "submit_test_report": "report",
    "submit_review": "review",
    "submit_work": "work",
    "submit_report": "words",
}
"""Templates below ``projects/calls/`` for calls that are worth more than a line."""
LINE_CHARS = 160
OUTPUT_CHARS = 6_000
SNIPPET_LINES = 400
SNIPPET_LINE_CHARS = 1_000


@dataclass(frozen=True)
class CallCard:
    """One tool call. ``tone`` is ok, bad or empty; ``said`` its arguments; ``cut``: there is more output to open."""

    id: str
    icon: str
    label: str
    line: str
    verdict: str = ""
    tone: str = ""
    duration_s: float | None = None
    output: str = ""
    cut: bool = False
    drawn: str = ""
    said: Mapping[str, Any] = field(default_factory=dict)
    result: Message | None = None

    @property
    def is_running(self) -> bool:
        return self.result is None

    @property
    def is_one_file(self) -> bool:
        """Whether the line says already which file is shown; a patch may change several."""
        return "patch" not in self.said

    @property
    def files(self) -> list[FileDiff]:
        """What an edit replaced, a new file whole, or what a patch made of its files, as a diff."""
        if "patch" in self.said:
            return highlight.diff(self.result.detail.get("diff", "")) if self.result else []
        return _files(self.said) if self.icon in ("file-diff", "file-code") else []


def cards(answer: Message, results: Sequence[Message]) -> list[CallCard]:
    """Return the calls of a model's ``answer`` in order. ``results`` are the tool messages of the same step."""
    by_call = {result.tool_call_id: result for result in results}
    return [_card(answer, call, by_call.get(str(call.get("id")))) for call in answer.tool_calls]


def _card(answer: Message, call: Mapping[str, Any], result: Message | None) -> CallCard:
    name = str(call.get("name", ""))
    said = guards.readable(str(call.get("arguments", "")))
    icon, label, main = LOOKS.get(name, ("zap", name, ""))
    about = said.get(main, "") or ", ".join(result.detail.get("paths", ()) if result else ())
    line = " ".join(str(about).split())
    line = line if len(line) <= LINE_CHARS else f"{line[:LINE_CHARS]}…"
    card = CallCard(f"call-{answer.pk}-{call.get('id')}", icon, label, line, said=said)
    if result is None:
        return card
    verdict, tone = _verdict(name, result)
    return replace(
        card,
        verdict=verdict,
        tone=tone,
        duration_s=None if result.duration_ms is None else result.duration_ms / 1_000,
        output=_middle_left_out(result.content),
        cut=result.artifact_id is not None or len(result.content) > OUTPUT_CHARS,
        drawn=_drawn(name, result),
        result=result,
    )


def _drawn(name: str, result: Message) -> str:
    if result.is_error or (name == "submit_work" and "pull" not in result.detail):
        return ""
    return DRAWN.get(name, "")


def _verdict(name: str, result: Message) -> tuple[str, str]:
    detail = result.detail
    if name == "run" and detail.get("exit_code") is not None and detail.get("ending") == "exited":
        code = detail["exit_code"]
        return f"exit {code}", "ok" if code == 0 else "bad"
    if name == "run" and detail.get("ending"):
        return str(detail["ending"]).replace("_", " "), "bad"
    if result.is_error:
        return "refused", "bad"
    if "files" in detail:
        count = detail["files"]
        return f"{count} file{'' if count == 1 else 's'}", ""
    return "", ""


def _files(said: Mapping[str, Any]) -> list[FileDiff]:
    old, new = str(said.get("old", "")), str(said.get("new", said.get("content", "")))
    path = str(said.get("path", "")) or "file"
    before, after = _snippet(old), _snippet(new)
    lines = difflib.unified_diff(before, after, f"a/{path}", f"b/{path}", lineterm="")
    return highlight.diff("\n".join(lines) + "\n")


def _snippet(text: str) -> list[str]:
    lines = text.splitlines()[:SNIPPET_LINES]
    return [line if len(line) <= SNIPPET_LINE_CHARS else f"{line[:SNIPPET_LINE_CHARS]}…" for line in lines]


def _middle_left_out(text: str) -> str:
    left_out = len(text) - OUTPUT_CHARS
    if left_out <= 0:
        return text
    half = OUTPUT_CHARS // 2
    return f"{text[:half]}\n[… {left_out} characters more …]\n{text[-half:]}"
