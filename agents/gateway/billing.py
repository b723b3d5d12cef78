"""What an answer cost: as the provider says, else by the list, else the whole hold."""

import asyncio
import logging
from dataclasses import replace
from typing import Final

from agents.errors import CallFailed
from agents.gateway.call import Patience
from agents.gateway.candidate import Candidate
from agents.gateway.draft import Draft
from agents.meter import Metered
from agents.services import reconcile
from budgets.models import Hold
from budgets.services.bill import Bill, presumed

logger = logging.getLogger(__name__)

CREDIBLE: Final = 10
"""Times its hold that an answer may cost on its own word alone: beyond, the provider's record must say so too."""


async def bill_of(hold: Hold, draft: Draft, model: Candidate, *, generation_id: str, patience: Patience) -> Bill:
    """Return what the answer of ``model`` cost. ``generation_id`` is "" where the provider gave it no name.

    Raises CallFailed when the provider keeps records and has none yet: then the sweeper finds out, later.
    """
    if told := _told(hold, draft, model, generation_id):
        return told
    if not model.endpoint.speaks_openrouter:
        logger.warning("%s: no credible usage was reported, so it is charged at its hold", hold.reference)
        return presumed(hold)
    for pause_s in patience.look_up_pauses_s if generation_id else ():
        await asyncio.sleep(pause_s)
        if found := await asyncio.to_thread(_look_up, model, generation_id):
            return found
    raise CallFailed(f"{model.endpoint.name} does not say what the answer cost", may_be_billed=True)


def _told(hold: Hold, draft: Draft, model: Candidate, generation_id: str) -> Bill | None:
    """Return the bill by the usage that came with the answer; None if it tells too little, or what cannot be."""
    metered = draft.metered
    if metered is None:
        return None
    if not metered.cost_usd and not model.endpoint.speaks_openrouter:
        metered = replace(metered, cost_usd=None)  # it keeps no prices, which does not make it free
    if metered.cost_usd is None and not _is_listed(metered, model):
        return None
    bill = reconcile.bill_of(
        metered,
        generation_id=generation_id,
        model=draft.model or model.model,
        provider=draft.provider or model.endpoint.name,
        price=model.price,
    )
    if bill.cost_nanousd > CREDIBLE * hold.amount_nanousd:
        logger.warning("%s: a cost of %s nano-dollars is not believed", hold.reference, bill.cost_nanousd)
        return None
    return bill


def _is_listed(metered: Metered, model: Candidate) -> bool:
    """Whether the price list has the last word, and knows what to count."""
    return metered.counts_tokens and not model.endpoint.speaks_openrouter


def _look_up(model: Candidate, generation_id: str) -> Bill | None:
    try:
        return reconcile.look_up(model.endpoint, generation_id)
    except CallFailed as failure:
        logger.info("%s", failure)
        return None
