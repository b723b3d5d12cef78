"""What keeps a run from going on for ever: limits, and answers that make no sense. Circles: ``agents.circles``."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

import jsonschema

from agents import lenient, repair
from agents.models import Outcome, Run
from agents.tools import registry

FORMAT_ERRORS: Final = 3
CRASHES: Final = 3
WRAP_UP_STEPS: Final = 2

MOST_CALLS = 32
"""Of one answer. More are no plan but a model that has lost its way, and APIs refuse a history with more than 128."""
SHOWN_CHARS: Final = 300
"""Of what a model wrote, in what is said about it."""
DEEPEST: Final = 50
"""Levels of arguments: no tool has use for more than five, and whatever walks through them must come back."""

NO_CALL = (
    "Your answer contained no tool call, so nothing happened. Go on with a tool call; when the work is done, submit it "
    "with the tool for it."
)
EMPTY = (
    "Your answer was empty, so nothing happened. Go on with a tool call; when the work is done, submit it with the "
    "tool for it."
)
CUT_OFF = "Your answer was cut off because it was too long. Do less at once: one tool call, and short texts."
FILTERED = (
    "A content filter of the provider held your answer back, so nothing happened. Go on in another way, and do not "
    "quote what may have set it off."
)
DECLINED = (
    "You declined, so nothing happened. Do with tool calls what part of the work you can; if that is none, use the "
    "tool that asks a person and say what stands in the way."
)
CALL_CUT_OFF = (
    "Your answer was broken off in the middle of this call, so it was not carried out. Do less at once: one tool call, "
    "and short texts; write a long file in parts."
)
TOO_MANY_CALLS = (
    "Your answer held {count} tool calls. The first {most} were carried out, the others were dropped. Look at the "
    "results before you go on."
)
SPOKEN = "Nothing was handed in: a person spoke while you wrote this. Read it, do what it asks, then submit again."
REPAIRED = "\n\n[Mission Control: your call was repaired before it was carried out: {repairs}.]"
WRAP_UP = (
    "\n\n[Mission Control: {left} left before the limit of this run. Leave the work in its best state and submit "
    "it now, saying what is missing.]"
)
_SURROGATES = re.compile("[\ud800-\udfff]")


class BadCall(Exception):
    """A tool call that cannot be executed; the text tells the model why."""


@dataclass(frozen=True)
class Ending:
    """How a run ends."""

    outcome: Outcome
    detail: str = ""


def senseless(finish_reason: str, text: str) -> tuple[str, str]:
    """Return what an answer without a tool call is, in few words, and what its model is told."""
    match finish_reason:
        case "length":
            return "cut off for its length", CUT_OFF
        case "content_filter":
            return "held back by a content filter", FILTERED
        case "refusal":
            return "declined by the model", DECLINED
    return ("without a tool call", NO_CALL) if text.strip() else ("empty", EMPTY)


def out_of_time(run: Run, worked_ms: int) -> Ending | None:
    """Return how ``run`` ends when it may not do anything more. ``worked_ms`` is up to now."""
    return Ending(Outcome.LIMIT_TIME, f"{run.time_limit_s} s of work") if worked_ms >= run.time_limit_s * 1000 else None


def limit_reached(run: Run, worked_ms: int) -> Ending | None:
    """Return how ``run`` ends when it may not make another model call. ``worked_ms`` is up to now."""
    if run.step >= run.step_limit:
        return Ending(Outcome.LIMIT_STEPS, f"{run.step_limit} steps")
    if run.cost_limit_nanousd is not None and run.cost_nanousd >= run.cost_limit_nanousd:
        return Ending(Outcome.LIMIT_COST, "the cost limit of the run")
    return out_of_time(run, worked_ms)


def wrap_up_note(next_step: int, step_limit: int) -> str:
    """Return what is added to a tool result when few steps are left; "" before."""
    left = step_limit - next_step
    if not 0 < left <= WRAP_UP_STEPS:
        return ""
    return WRAP_UP.format(left="one step is" if left == 1 else f"{left} steps are")


@dataclass(frozen=True)
class Order:
    """A tool call that can be executed. ``repairs`` says what of it was read otherwise than it was written."""

    tool: registry.Tool
    arguments: dict[str, Any]
    repairs: tuple[str, ...] = ()

    def with_note(self, result: registry.ToolResult) -> registry.ToolResult:
        """Return ``result`` with word of the repairs, so that the model does better next time."""
        if not self.repairs:
            return result
        note = REPAIRED.format(repairs="; ".join(self.repairs))
        return replace(result, text=result.text + note, detail={**result.detail, "repairs": list(self.repairs)})


def order_of(name: str, raw: str, allowed: Iterable[str], *, may_be_cut: bool = False) -> Order:
    """Return the tool that is called and its checked arguments, repaired where the meaning is clear. Raises BadCall.

    ``may_be_cut``: the answer was broken off after them, so that they mean something only if they are whole.
    """
    if may_be_cut and not lenient.is_object(raw):
        raise BadCall(CALL_CUT_OFF)
    allowed = list(allowed)
    meant = repair.tool_name(name, allowed)
    tool = registry.get(meant)
    if tool is None or meant not in allowed:
        raise BadCall(f"There is no tool {_short(repr(name))}. You have: {', '.join(sorted(allowed))}.")
    repairs = [] if meant == name else [f"the tool is called {meant}"]
    try:
        arguments, more = repair.arguments(raw)
    except ValueError as error:
        raise BadCall(f"The arguments are not valid JSON ({error}). Send one complete JSON object.") from None
    repairs += more
    if not isinstance(arguments, dict):
        raise BadCall("The arguments must be a JSON object.")
    if problem := _unfit(arguments):
        raise BadCall(problem)
    arguments, more = _checked(arguments, tool)
    return Order(tool, arguments, tuple(repairs + more))


def _checked(arguments: dict[str, Any], tool: registry.Tool) -> tuple[dict[str, Any], list[str]]:
    """Return arguments that fit the tool, and what was changed to that end. Raises BadCall."""
    problem = jsonschema.exceptions.best_match(tool.validator.iter_errors(arguments))
    if problem is None:
        return arguments, []
    fit, repairs = repair.fitted(arguments, tool.parameters)
    if tool.validator.is_valid(fit):
        return fit, repairs
    place = ".".join(map(str, problem.absolute_path))
    where = f" in {place}" if place else ""
    wanted = json.dumps(tool.parameters)
    raise BadCall(f"The arguments do not fit{where}: {_short(problem.message)}. Expected: {wanted}")


def _unfit(arguments: dict[str, Any]) -> str:
    """Say what in ``arguments`` no tool can take: depth, and what no command line, file or PostgreSQL can hold."""
    level: list[object] = [arguments]
    for _ in range(DEEPEST):
        if not all(map(_is_storable, level)):
            return "The arguments hold a NUL character or half a surrogate pair. Write such characters as escapes."
        level = [part for value in level for part in _parts(value)]
        if not level:
            return ""
    return f"The arguments are nested more than {DEEPEST} levels deep."


def _is_storable(value: object) -> bool:
    return not isinstance(value, str) or ("\0" not in value and not _SURROGATES.search(value))


def _parts(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    return value if isinstance(value, list) else ()


def _short(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}… ({len(text)} characters)"


def readable(raw: str) -> dict[str, Any]:
    """Return the arguments of a call for people to see; {} when they are no object."""
    return lenient.object_in(raw)
