"""What a runner does by the clock: keep its leases, notice when it cannot, and hear what people want.

Heartbeats and wishes have database threads of their own, so that neither waits behind the journal: on SQLite a
heartbeat can wait for another writer, a look at the wishes never does.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from agents.runner import claims
from agents.runner.claims import LEASE_S, Wish
from agents.runner.drive import Drive
from agents.runner.resting import Stop
from agents.services import outages, runs
from budgets.services import ledger
from mcc.core.dbthread import DatabaseThread

logger = logging.getLogger(__name__)

HOLD_LEASE_S = 120.0
STOPS = {Wish.CANCEL: Stop.CANCEL, Wish.FREEZE: Stop.FREEZE}


@dataclass(frozen=True)
class Clock:
    """The times of a runner, in seconds. A lease must outlast two missed heartbeats; the fence must fall before it."""

    lease_s: float = LEASE_S
    beat_s: float = 4.0
    fence_s: float = 9.0
    wishes_s: float = 0.15
    supply_s: float = 1.0
    poll_s: float = 1.0
    drain_s: float = 20.0


class Control:
    """Watches over the drives of one runner."""

    def __init__(self, owner: str, drives: Mapping[int, Drive], clock: Clock) -> None:
        self._owner = owner
        self._drives = drives
        self._clock = clock
        self._beats = DatabaseThread("runner-beats")
        self._wishes = DatabaseThread("runner-wishes")
        self._kept_at = time.monotonic()

    @property
    def is_fenced(self) -> bool:
        """Whether the leases could not be renewed for so long that they may be somebody else's by now."""
        return time.monotonic() - self._kept_at > self._clock.fence_s

    def loops(self) -> list[Awaitable[None]]:
        return [
            every(self._clock.beat_s, self.beat),
            every(self._clock.wishes_s, self.grant_wishes),
            every(self._clock.supply_s, self.look_at_supply),
            every(self._clock.poll_s, self.wake),
            every(self._clock.fence_s / 10, self.fence),
        ]

    async def beat(self) -> None:
        """Renew all leases at once. A run that is not ours any more is dropped on the spot."""
        drives, began = dict(self._drives), time.monotonic()
        if drives:
            kept = await self._beats.run(claims.renew, self._owner, drives, self._clock.lease_s)
            for run_id, drive in drives.items():
                if kept.get(run_id) != drive.lease.epoch:
                    drive.stop(Stop.LOST)
            await self._keep_holds(drives)
        self._kept_at = began

    async def _keep_holds(self, drives: dict[int, Drive]) -> None:
        """Tell the ledger of calls that take long, or its sweeper takes them for lost."""
        for run_id, drive in drives.items():
            if drive.asking_since is not None and time.monotonic() - drive.asking_since > HOLD_LEASE_S / 4:
                await self._beats.run(ledger.renew, f"run:{run_id}", HOLD_LEASE_S)

    async def grant_wishes(self) -> None:
        if not self._drives:
            return
        for run_id, wish in (await self._wishes.run(claims.wishes, self._owner)).items():
            if drive := self._drives.get(run_id):
                if wish is Wish.REST:
                    drive.rest()
                else:
                    drive.stop(STOPS[wish])

    async def look_at_supply(self) -> None:
        """Keep in mind which models and providers are in trouble, so that no call has to ask."""
        if self._drives:
            await self._wishes.run(outages.look)

    async def wake(self) -> None:
        """Let runs go on that waited until now. One query; also while there is no room for them."""
        await self._beats.run(runs.wake_due)

    async def fence(self) -> None:
        """Stop everything when nobody can say that it is still ours."""
        if self._drives and self.is_fenced:
            logger.error("no heartbeat for %s s: letting go of %s runs", self._clock.fence_s, len(self._drives))
            for drive in self._drives.values():
                drive.stop(Stop.LOST)

    def close(self) -> None:
        """Blocks until the database threads have ended."""
        self._beats.close()
        self._wishes.close()


async def every(pause_s: float, work: Callable[[], Awaitable[None]]) -> None:
    """Do ``work`` again and again. A failure is logged: the next time may be better."""
    while True:
        await asyncio.sleep(pause_s)
        try:
            await work()
        except Exception:
            logger.exception("the runner's %s failed", work.__name__)
