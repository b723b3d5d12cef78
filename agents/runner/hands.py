"""What a tool thread does: carry out a call, and turn what goes wrong into words for the model."""

from collections.abc import Callable

from django.db import close_old_connections

from agents.sandbox.types import SandboxError
from agents.tools.registry import ToolResult
from mcc.core.errors import DomainError, ProviderError


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
