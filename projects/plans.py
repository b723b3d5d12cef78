"""What the Architect hands in, and what makes it a plan that the company can work by."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from projects.errors import PlanRefused
from projects.models.issue import Size

MOST_TASKS = 12
MOST_LINES = 20
MOST_FILES = 40
TEXT_LENGTH = 20_000
LINE_LENGTH = 500
KEY = re.compile(r"[a-z][a-z0-9-]{0,38}")


@dataclass(frozen=True)
class PlannedTask:
    """One branch and one pull request."""

    key: str
    title: str
    description: str
    depends_on: tuple[str, ...]
    files: tuple[str, ...]
    size: Size


@dataclass(frozen=True)
class Plan:
    """Tasks are in an order in which every task comes after those it depends on."""

    spec: str
    definition_of_done: tuple[str, ...]
    tasks: tuple[PlannedTask, ...]

    @property
    def size(self) -> Size:
        """How big the issue is: one small task, a handful without a large one, or more."""
        if len(self.tasks) == 1 and self.tasks[0].size == Size.SMALL:
            return Size.SMALL
        large = any(task.size == Size.LARGE for task in self.tasks)
        return Size.LARGE if large or len(self.tasks) > 5 else Size.MEDIUM


def parse(spec: str, definition_of_done: Sequence[str], tasks: Sequence[Mapping[str, Any]]) -> Plan:
    """Return the plan that the arguments of ``submit_plan`` describe.

    Raises PlanRefused with a sentence by which its author can mend it.
    """
    if not spec.strip():
        raise PlanRefused("`spec` is empty: say what is wanted and how it will be done.")
    if len(spec) > TEXT_LENGTH:
        raise PlanRefused(f"`spec` has {len(spec)} characters; {TEXT_LENGTH} is the most.")
    lines = tuple(line.strip() for line in definition_of_done if line.strip())
    _require_lines(lines)
    if not 1 <= len(tasks) <= MOST_TASKS:
        raise PlanRefused(f"A plan has 1 to {MOST_TASKS} tasks, this one has {len(tasks)}.")
    planned = [_task(task) for task in tasks]
    return Plan(spec.strip(), lines, tuple(_in_order(planned)))


def _require_lines(lines: Sequence[str]) -> None:
    if not 1 <= len(lines) <= MOST_LINES:
        raise PlanRefused(f"`definition_of_done` needs 1 to {MOST_LINES} lines, each of which a tester can judge.")
    if len(set(lines)) < len(lines):
        raise PlanRefused("Two lines of `definition_of_done` are the same.")
    for line in lines:
        if len(line) > LINE_LENGTH or "\n" in line:
            raise PlanRefused(f"A line of `definition_of_done` is one line of at most {LINE_LENGTH} characters.")


def _task(fields: Mapping[str, Any]) -> PlannedTask:
    key, title = str(fields.get("key", "")), str(fields.get("title", "")).strip()
    if not KEY.fullmatch(key):
        raise PlanRefused(f"Task key {key!r}: use small letters, digits and dashes, a letter first, at most 39.")
    if not 1 <= len(title) <= 200:
        raise PlanRefused(f"Task {key!r} needs a title of at most 200 characters.")
    description = str(fields.get("description", ""))
    if len(description) > TEXT_LENGTH:
        raise PlanRefused(f"The description of task {key!r} is longer than {TEXT_LENGTH} characters.")
    size = fields.get("size") or Size.MEDIUM
    if size not in Size.values:
        raise PlanRefused(f"Task {key!r}: size is one of {', '.join(Size.values)}, not {size!r}.")
    files = tuple(str(file) for file in fields.get("files") or ())
    if len(files) > MOST_FILES:
        raise PlanRefused(f"Task {key!r} names {len(files)} files: cut it into smaller tasks.")
    for file in files:
        _require_path(key, file)
    depends_on = tuple(str(other) for other in fields.get("depends_on") or ())
    return PlannedTask(key, title, description, depends_on, files, Size(size))


def _require_path(key: str, path: str) -> None:
    parts = path.split("/")
    if not path or path.startswith("/") or "\\" in path or ".." in parts or ".git" in parts or "\0" in path:
        raise PlanRefused(f"Task {key!r}: {path!r} is no path relative to the root of the repository.")


def _in_order(tasks: Sequence[PlannedTask]) -> list[PlannedTask]:
    """Sort by dependencies, keeping the author's order where they leave a choice."""
    keys = [task.key for task in tasks]
    for key in keys:
        if keys.count(key) > 1:
            raise PlanRefused(f"Two tasks are called {key!r}.")
    for task in tasks:
        for other in task.depends_on:
            if other not in keys:
                raise PlanRefused(f"Task {task.key!r} depends on {other!r}, which is not in the plan.")
    ordered: list[PlannedTask] = []
    waiting = list(tasks)
    while waiting:
        done = {task.key for task in ordered}
        ready = [task for task in waiting if done.issuperset(task.depends_on)]
        if not ready:
            circle = ", ".join(task.key for task in waiting)
            raise PlanRefused(f"These tasks wait for each other: {circle}.")
        ordered += ready
        waiting = [task for task in waiting if task not in ready]
    return ordered
