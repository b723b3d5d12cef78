"""Refusals and failures of the engine."""

from datetime import datetime

from mcc.core.errors import DomainError, ProviderError


class LeaseLost(Exception):
    """Somebody else owns the run by now: nothing more may be written for it from here."""


class Interrupted(Exception):
    """A tool stopped in the middle because its run was stopped. The call has no result and is made again later."""


class NotReady(Exception):
    """What a tool needs is still being made. The call has no result and is made again in ``pause_s`` seconds."""

    def __init__(self, why: str, *, pause_s: float) -> None:
        super().__init__(why)
        self.pause_s = pause_s


class ModelUnavailable(DomainError):
    """The model cannot be called: it is switched off, or nobody knows what it costs."""

    code = "model_unavailable"


class CallFailed(ProviderError):
    """A call of a model that came to nothing.

    ``may_be_billed``: the provider may have generated something, so the money stays on hold until its record is read.
    ``generation_id`` names that record, if the provider got as far as telling it. ``status`` is that of HTTP, if any.
    ``suspends`` (a ``Provider.Suspension``): no call of anybody can succeed there now; ``resets_at`` when that ends, if
    it was told. ``too_long``: the prompt does not fit into the model's window; a shorter one would.
    ``refused_fields`` of the request are named in the refusal (`agents.dialects`).
    """

    def __init__(
        self,
        detail: str,
        *,
        permanent: bool = False,
        retry_after_s: float | None = None,
        may_be_billed: bool = False,
        generation_id: str = "",
        status: int | None = None,
        suspends: str | None = None,
        resets_at: datetime | None = None,
        too_long: bool = False,
        refused_fields: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(detail, permanent=permanent, retry_after_s=retry_after_s)
        self.may_be_billed = may_be_billed
        self.generation_id = generation_id
        self.status = status
        self.suspends = suspends
        self.resets_at = resets_at
        self.too_long = too_long
        self.refused_fields = refused_fields


class BreakerOpen(CallFailed):
    """Calls of the model are kept away for ``retry_after_s``: it failed again and again. Nothing was sent."""


class ComeBackLater(CallFailed):
    """No model of the agent answers now, and the first of their providers that will said when: ``until``."""

    def __init__(self, detail: str, *, provider_id: int, until: datetime, retry_after_s: float) -> None:
        super().__init__(detail, retry_after_s=retry_after_s)
        self.provider_id = provider_id
        self.until = until


class ProviderSuspended(DomainError):
    """Nobody can call that provider until a person has put something right there, or its period is over."""

    code = "provider_suspended"

    def __init__(self, detail: str, *, provider_id: int) -> None:
        super().__init__(detail)
        self.provider_id = provider_id
