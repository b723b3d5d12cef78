"""Trying until there is an answer: pauses, further attempts, other models."""

import asyncio
import logging
import time

from agents.errors import CallFailed
from agents.gateway import settlements
from agents.gateway.attempt import Attempt
from agents.gateway.call import Completion, ModelCall, OnText, Store
from agents.gateway.candidate import Candidate, accounts_of, candidates
from budgets.errors import BudgetExceeded
from budgets.models import Account
from mcc.core.dbthread import DatabaseThread

logger = logging.getLogger(__name__)


async def complete(call: ModelCall, *, db: DatabaseThread, on_text: OnText, store: Store) -> Completion:
    """Return the model's answer, paid for and journaled: ``store`` runs in the transaction that charges for it.

    Cancel the task to stop: the stream is closed at once and its money stays on hold until the provider's record of
    the generation is read. Raises BudgetExceeded, AccountFrozen, ModelUnavailable, CallFailed (a ProviderError), and
    LeaseLost when ``store`` does or when somebody else makes this very attempt.
    """
    models, accounts = await db.run(_prepare, call)
    for model in models[:-1]:
        try:
            return await _persist(call, model, accounts, db=db, on_text=on_text, store=store)
        except CallFailed as failure:
            logger.warning("%s: %s failed for good, next model: %s", call.reference_prefix, model.model, failure)
    return await _persist(call, models[-1], accounts, db=db, on_text=on_text, store=store)


def _prepare(call: ModelCall) -> tuple[list[Candidate], list[Account]]:
    return candidates(call), accounts_of(call)


async def _persist(
    call: ModelCall,
    model: Candidate,
    accounts: list[Account],
    *,
    db: DatabaseThread,
    on_text: OnText,
    store: Store,
) -> Completion:
    """Make attempts at one model until there is an answer, a failure for good, or the end of patience.

    Money that other calls have set aside comes back when they are settled, mostly within seconds: it is waited for
    before a person is asked for more.
    """
    failures = 0
    short_since: float | None = None
    while True:
        try:
            completion = await Attempt(call, model, accounts, db=db, on_text=on_text, store=store).make()
        except BudgetExceeded as refusal:
            short_since = short_since or time.monotonic()
            left_s = short_since + call.patience.money_s - time.monotonic()
            if not refusal.may_pass or left_s <= 0:
                raise
            await settlements.wait(min(left_s, call.patience.money_pause_s))
            continue
        except CallFailed as failure:
            settlements.tell()
            short_since = None
            failures += 1
            wait_s = call.patience.pause_s(failures, failure.retry_after_s)
            if failure.permanent or wait_s is None:
                raise
            pause_s = wait_s
            logger.info("%s: %s; again in %.1f s", call.reference_prefix, failure, pause_s)
        else:
            settlements.tell()
            return completion
        await asyncio.sleep(pause_s)
