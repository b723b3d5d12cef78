"""Trying until there is an answer: pauses, further attempts, other models."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

from django.utils import timezone

from agents.errors import BreakerOpen, CallFailed, ComeBackLater, ProviderSuspended
from agents.gateway import settlements
from agents.gateway.attempt import Attempt
from agents.gateway.call import Completion, ModelCall, OnAnswer, OnText, Patience, Store, unnoticed
from agents.gateway.candidate import Candidate, accounts_of, candidates, is_prepared, remember_refused
from agents.services import breakers, outages
from budgets.errors import BudgetExceeded
from budgets.models import Account
from mcc.core.dbthread import DatabaseThread, to_the_end

logger = logging.getLogger(__name__)

Try = Callable[[Candidate], Awaitable[Completion]]


async def complete(
    call: ModelCall, *, db: DatabaseThread, on_text: OnText, store: Store, on_answer: OnAnswer = unnoticed
) -> Completion:
    """Return the model's answer, paid for and journaled: ``store`` runs in the transaction that charges for it.

    Cancel the task to stop: the stream is closed at once and its money stays on hold until the provider's record of
    the generation is read. Raises BudgetExceeded, AccountFrozen, ModelUnavailable, ProviderSuspended, CallFailed (a
    ProviderError; ComeBackLater when any of the models will answer at a time that was told), and LeaseLost when
    ``store`` does or when somebody else makes this very attempt.
    """
    call = call.without_secrets()
    models, accounts = _prepare(call) if is_prepared(call) else await db.run(_prepare, call)
    is_first = call.is_new
    later: ComeBackLater | None = None
    for model in models:
        is_last = model is models[-1]

        async def attempt(model: Candidate) -> Completion:
            nonlocal is_first
            this = Attempt(
                call, model, accounts, db=db, on_text=on_text, on_answer=on_answer, store=store, is_first=is_first
            )
            is_first = False
            return await this.make()

        try:
            return await _persist(model, attempt, call, db=db, is_last=is_last)
        except (CallFailed, ProviderSuspended) as failure:
            if isinstance(failure, CallFailed) and failure.too_long:
                raise
            later = _sooner(later, _told(failure, model, call.patience))
            if is_last and later:
                raise later from failure
            if is_last:
                raise
            logger.warning("%s: %s failed for good, next model: %s", call.reference_prefix, model.model, failure)
    raise AssertionError("unreachable")


def _told(failure: CallFailed | ProviderSuspended, model: Candidate, patience: Patience) -> ComeBackLater | None:
    """Return when to come back to ``model``, if its provider said so. What we keep away from ourselves says nothing."""
    if isinstance(failure, ProviderSuspended | BreakerOpen) or failure.permanent or not failure.retry_after_s:
        return None
    # Who said a short time again and again is given a longer one.
    wait_s = max(failure.retry_after_s, patience.longest_pause_s)
    return ComeBackLater(
        failure.detail,
        provider_id=model.provider_id,
        until=timezone.now() + timedelta(seconds=wait_s),
        retry_after_s=failure.retry_after_s,
    )


def _sooner(one: ComeBackLater | None, other: ComeBackLater | None) -> ComeBackLater | None:
    return min((each for each in (one, other) if each), key=lambda each: each.until, default=None)


def _prepare(call: ModelCall) -> tuple[list[Candidate], list[Account]]:
    return candidates(call), accounts_of(call)


async def _persist(model: Candidate, attempt: Try, call: ModelCall, *, db: DatabaseThread, is_last: bool) -> Completion:
    """Make attempts at one model until there is an answer, a failure for good, or the end of patience.

    A server that names a field which it does not take is asked again at once, without it. Money that other calls have
    set aside comes back when they are settled, mostly within seconds: it is waited for before a person is asked for
    more. For a model that everybody is kept away from only those wait who have no other.
    """
    patience, known = call.patience, model.refused
    failures, began = 0, time.monotonic()
    short_since: float | None = None
    while True:
        try:
            answer = await _admitted(model, attempt, db)
            if model.refused != known:
                await to_the_end(db.run(remember_refused, call, model))
            return answer
        except BudgetExceeded as refusal:
            short_since = short_since or time.monotonic()
            left_s = short_since + patience.money_s - time.monotonic()
            if not refusal.may_pass or left_s <= 0:
                raise
            await settlements.wait(min(left_s, patience.money_pause_s))
            continue
        except BreakerOpen as refusal:
            wait_s = refusal.retry_after_s or 0
            if not is_last or time.monotonic() - began + wait_s > patience.outage_s:
                raise
            pause_s = min(wait_s, patience.outage_pause_s) + patience.first_pause_s / 10
        except CallFailed as failure:
            if other := model.refusing(failure):
                logger.info("%s: %s", model.model, failure)
                model = other
                continue
            failures += 1
            longer_s = patience.pause_s(failures, failure.retry_after_s)
            if failure.permanent or longer_s is None:
                raise
            pause_s = longer_s
            logger.info("%s: %s; again in %.1f s", model.model, failure, pause_s)
        short_since = None
        await asyncio.sleep(pause_s)


async def _admitted(model: Candidate, attempt: Try, db: DatabaseThread) -> Completion:
    """Make one attempt if the model may be called now, and tell everybody how it went.

    Nothing is set aside before. As long as all is well, that costs neither a query nor a turn of the database thread.
    """
    probe = False
    if outages.in_doubt(model.card_id, model.provider_id):
        probe = await db.run(outages.admit, model.card_id, model.provider_id)
    try:
        answer = await attempt(model)
    except CallFailed as failure:
        settlements.tell()
        await to_the_end(db.run(_conclude, model, failure, probe))
        raise
    except BaseException:
        if probe:
            await to_the_end(db.run(breakers.let_go, model.card_id))
        raise
    settlements.tell()
    if probe or outages.failed_lately(model.card_id):
        await to_the_end(db.run(outages.answered, model.card_id))
    return answer


def _conclude(model: Candidate, failure: CallFailed, probe: bool) -> None:
    outages.failed(model.card_id, model.provider_id, failure, probe=probe)
