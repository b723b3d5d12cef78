"""Why a run rests before its next step, or for good, and how long it worked until then."""

import asyncio
import logging
import time
from enum import StrEnum
from typing import Final

from agents.errors import ComeBackLater, Interrupted, LeaseLost, ModelUnavailable, NotReady, ProviderSuspended
from agents.guards import Ending
from agents.models import Outcome
from agents.runner import states
from agents.runner.claims import Lease
from agents.runner.states import Wait
from agents.sandbox.errors import SandboxError, SandboxUnavailable
from agents.services import suspensions
from budgets.errors import AccountFrozen, BudgetExceeded
from mcc.core.dbthread import DatabaseThread
from mcc.core.errors import ProviderError
from mcc.core.money import usd_display

logger = logging.getLogger(__name__)

FROZEN_PAUSE_S: Final = 1.0


class Stop(StrEnum):
    """Why a run is put down before its end."""

    CANCEL = "cancel"
    FREEZE = "freeze"
    DRAIN = "drain"
    LOST = "lost"


class Parked(Exception):
    """A tool asked the run to wait for somebody."""

    def __init__(self, waits_for: str) -> None:
        super().__init__(waits_for)
        self.waits_for = waits_for


class Rest:
    """Writes down why the run of ``lease`` does not go on."""

    def __init__(self, lease: Lease, db: DatabaseThread) -> None:
        self._lease = lease
        self._db = db
        self._mark = time.monotonic()
        self._ended: float | None = None

    def stop_clock(self) -> None:
        """Count nothing from here on as work of the run."""
        self._ended = time.monotonic()

    async def because(self, reason: BaseException, stop: Stop | None) -> None:
        """Write down why the run does not go on. ``stop`` is who broke it off, if somebody did."""
        match reason:
            case asyncio.CancelledError() | Interrupted():
                await self._put_down(stop)
            case Parked():
                await self._wait(Wait(reason.waits_for))
            case BudgetExceeded():
                await self._wait_for_money(reason)
            case AccountFrozen() | NotReady():
                pause_s = reason.pause_s if isinstance(reason, NotReady) else FROZEN_PAUSE_S
                await self._db.run(states.release, self._lease, self.worked_ms(), pause_s)
            case SandboxUnavailable():
                await self.finish(Ending(Outcome.SANDBOX, str(reason)))
            case SandboxError():
                await self._crash(reason, Outcome.SANDBOX)
            case ProviderSuspended() | ProviderError() | ModelUnavailable():
                await self._without_a_model(reason)
            case LeaseLost() | SystemExit() | KeyboardInterrupt():
                raise reason
            case _:
                await self._crash(reason, Outcome.CRASHED)

    async def _without_a_model(self, reason: ProviderSuspended | ProviderError | ModelUnavailable) -> None:
        match reason:
            case ProviderSuspended():
                await self._wait(Wait(suspensions.PROVIDER, reason.detail, awaited=reason.provider_id))
            case ComeBackLater():
                logger.info("run %s waits until %s: %s", self._lease.run_id, reason.until, reason.detail)
                await self._db.run(states.rest, self._lease, reason, self.worked_ms())
            case _:
                await self.finish(Ending(Outcome.PROVIDER, reason.detail))

    async def _wait_for_money(self, refusal: BudgetExceeded) -> None:
        logger.info("run %s waits for money: %s", self._lease.run_id, refusal.detail)
        needs = refusal.needed_nanousd
        why = f"The next call needs {usd_display(needs)}. {refusal.detail}"
        await self._wait(Wait("budget", why, needs_nanousd=needs, short_of=refusal.limit.pk))

    async def _wait(self, wait: Wait) -> None:
        await self._db.run(states.park, self._lease, wait, self.worked_ms())

    async def _put_down(self, stop: Stop | None) -> None:
        if stop is not Stop.LOST:
            write = states.finish_cancelled if stop is Stop.CANCEL else states.release
            await self._db.run(write, self._lease, self.worked_ms())

    async def _crash(self, error: BaseException, outcome: Outcome) -> None:
        logger.error("run %s crashed", self._lease.run_id, exc_info=error)
        await self._db.run(states.crashed, self._lease, error, outcome, self.worked_ms())

    async def finish(self, ending: Ending) -> None:
        await self._db.run(states.finish, self._lease, ending, self.worked_ms())

    def worked_ms(self) -> int:
        """Return the milliseconds since this was asked last: what is not yet in the row."""
        worked_ms = self.unwritten_ms()
        self._mark += worked_ms / 1_000
        return worked_ms

    def unwritten_ms(self) -> int:
        return round(1_000 * ((self._ended or time.monotonic()) - self._mark))
