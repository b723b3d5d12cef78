"""What a tool thread does: carry out a call, and turn what goes wrong into words for the model."""

import logging
from collections.abc import Callable
from dataclasses import replace
from threading import Event
from typing import Final

from django.db import close_old_connections

from agents.errors import Interrupted, NotReady
from agents.models import Purpose, Run
from agents.sandbox.errors import SandboxError
from agents.tools.registry import SANDBOX_TOOLS, ToolResult
from agents.workplaces import Workplace
from mcc.core.errors import DomainError, ProviderError

logger = logging.getLogger(__name__)

TREE: Final = """\
set -o pipefail
{ git rev-parse HEAD && { git diff -z --name-only --no-ext-diff HEAD && git ls-files -z --others --exclude-standard; } |
sort -z -u | { xargs -0 -r sha256sum -- 2>&1 || true; }; } | sha256sum"""
"""Prints a name for the last commit and all that differs from it; a file that is gone differs, too."""
TREE_WALL_S: Final = 10.0


def answered(work: Callable[[], ToolResult]) -> ToolResult:
    """Run a tool in this thread. A refusal is a result for the model, and so is a failure outside the sandbox."""
    close_old_connections()
    try:
        return work()
    except DomainError as refusal:
        return ToolResult(refusal.detail, is_error=True)
    except SandboxError:
        raise
    except ProviderError as failure:
        return ToolResult(f"Something outside failed, perhaps only for now: {failure.detail}", is_error=True)
    finally:
        close_old_connections()


def will_work(run: Run) -> bool:
    """Whether ``run`` is likely to need its workplace. Who only talks mostly answers from what was said."""
    return bool(run.workplace) and run.purpose != Purpose.CHAT and not SANDBOX_TOOLS.isdisjoint(run.tools)


def open_ahead(workplace: Callable[[], Workplace]) -> None:
    """Open a sandbox before a tool needs it: a clone and a set-up take seconds to minutes, and so does the model."""
    close_old_connections()
    try:
        workplace().sandbox()
    except Exception as problem:
        # Whatever it is, the first tool meets it too, and says it to the model.
        logger.info("a workplace could not be opened ahead: %s", type(problem).__name__)
    finally:
        close_old_connections()


def with_tree(result: ToolResult, workplace: Workplace, cancel: Event | None = None) -> ToolResult:
    """Return ``result`` with a short name for the state of the work's files, as git sees them; "" if there is none.

    What was carried out is not lost because nobody can look now.
    """
    try:
        limits = replace(workplace.sandbox().spec.limits, wall_s=TREE_WALL_S)
        seen = workplace.sandbox().sh(TREE, limits=limits, cancel=cancel)
        tree = seen.text[:16] if seen.ok else ""
    except (DomainError, ProviderError, NotReady, Interrupted):
        tree = ""
    return replace(result, detail={**result.detail, "tree": tree})


def map_of(workplace: Callable[[], Workplace]) -> str:
    """Return the map of a workplace, "" when it cannot be drawn: a run does without."""
    close_old_connections()
    try:
        return workplace().map()
    except Interrupted:
        raise
    except Exception:
        # Whatever it is, it will show at the first tool that needs the workspace, and be dealt with there.
        logger.exception("no map could be drawn")
        return ""
    finally:
        close_old_connections()
