"""Waiting for money that other calls have set aside: each call that ends lets the one that waits longest try again.

One at a time: all at once they would lock the same rows to find that only one of them fits. Calls that other processes
settle are not heard of here, so nobody waits without looking now and then.
"""

import asyncio
from collections import deque
from contextlib import suppress
from weakref import WeakKeyDictionary

_waiting: "WeakKeyDictionary[asyncio.AbstractEventLoop, deque[asyncio.Future[None]]]" = WeakKeyDictionary()


def tell() -> None:
    """Say that a call of this event loop is settled."""
    queue = _waiting.get(asyncio.get_running_loop())
    while queue:
        waiter = queue.popleft()
        if not waiter.done():
            waiter.set_result(None)
            return


async def wait(longest_s: float) -> None:
    """Return when it is this caller's turn after a settlement, at the latest after ``longest_s``."""
    loop = asyncio.get_running_loop()
    waiter = loop.create_future()
    _waiting.setdefault(loop, deque()).append(waiter)
    with suppress(TimeoutError):
        await asyncio.wait_for(waiter, longest_s)
