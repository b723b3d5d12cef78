"""Carrying out a cut: notes are asked for, and take the place of what was said."""

import logging
from collections.abc import Awaitable, Callable

from django.db import transaction

from agents import condensing, window
from agents.condensing import Notes
from agents.context import JSON, History
from agents.errors import CallFailed, ComeBackLater
from agents.gateway import Completion, ModelCall, Store
from agents.models import Condensation, Run, Rung
from agents.record import record
from agents.runner import ladder, news
from agents.runner.claims import Lease
from agents.runner.cuts import Cut
from agents.runner.news import News
from agents.services import runs
from agents.texts import storable
from budgets.models import Usage
from mcc.core.dbthread import DatabaseThread
from mcc.core.errors import ProviderError

logger = logging.getLogger(__name__)

Complete = Callable[[ModelCall, Store], Awaitable[Completion]]


async def condense(
    cut: Cut,
    run: Run,
    history: History,
    tools: list[JSON],
    complete: Complete,
    *,
    lease: Lease,
    db: DatabaseThread,
) -> None:
    """Replace what ``cut`` says by the model's own notes, or by a list when it cannot be asked. Costs a call.

    ``history`` is to be read anew afterwards. Raises what ``complete`` does, but of failures of the provider only
    ComeBackLater: the model's own notes are worth that wait, and the next step could not be taken before either.
    """
    plain = condensing.plain_notes(history, cut.until)

    def store_answer(completion: Completion, usage: Usage) -> None:
        store(lease, run, history, condensing.notes_of(history, completion, plain), cut, usage)

    why_not = condensing.NO_ROOM
    for squeeze in condensing.SQUEEZES:
        call = _asking(cut, run, history, tools, squeeze)
        if history.tokens(call.bytes_bound) > history.window_tokens * condensing.ASKING_SHARE:
            continue
        try:
            await complete(call, store_answer)
        except ComeBackLater:
            raise
        except ProviderError as failure:
            why_not = condensing.NO_MODEL
            if isinstance(failure, CallFailed) and failure.too_long:
                continue
        else:
            why_not = ""
        break
    if why_not:
        logger.warning("run %s is condensed without a model: %s", run.pk, why_not)
        await db.run(store, lease, run, history, Notes(plain, why_not), cut, None)
    run.rung = run.rung if cut.rung is None else cut.rung
    run.model = cut.model or run.model
    history.begin_again(await db.run(window.tokens_of, run))


def _asking(cut: Cut, run: Run, history: History, tools: list[JSON], squeeze: int) -> ModelCall:
    """Return the call that asks for the notes. A model that thinks needs room for its thoughts beside them."""
    return ModelCall(
        run=run,
        messages=condensing.asking(run.prefix, history, cut.until, cut.order, squeeze),
        tools=tools,
        reference_prefix=f"run:{run.pk}/condense:{cut.until}",
        purpose="condense",
        max_tokens=None if run.model.thinks else condensing.longest_notes(history),
    )


@transaction.atomic
def store(lease: Lease, run: Run, history: History, notes: Notes, cut: Cut, usage: Usage | None) -> None:
    """Let ``notes``, and what was carried out, stand for the conversation as ``cut`` says.

    What they replace stays in the table. The pinned block is written down anew: what people decided since the order
    was given must not be lost with the calls that asked them.
    """
    lease.fence()
    conversation = run.conversation
    # In memory it may be as after a transaction that was undone, or whose commit arrived though its answer got lost.
    conversation.refresh_from_db(fields=["summary", "condensed_until"])
    if conversation.condensed_until >= cut.until:
        return
    changes: JSON = {} if usage is None else {"rested_s": 0}
    told: list[News] = []
    if cut.circle is not None:
        told = [
            ladder.write(
                run, history.heard, cut.circle, Rung.Done.OTHER_MODEL if cut.model else Rung.Done.FRESH_CONTEXT
            )
        ]
    if cut.rung is not None:
        changes["rung"] = cut.rung
    if cut.model is not None:
        changes["model_id"] = cut.model.pk
    lease.fence(add=runs.spent_of(usage) if usage else None, **changes)
    condensation = Condensation.objects.create(
        conversation=conversation,
        run=run,
        model=run.model,
        reason=cut.reason,
        after=conversation.condensed_until,
        until=cut.until,
        heard=history.heard,
        asked=cut.order,
        preface=cut.preface,
        notes=storable(notes.text),
        notes_are=notes.wrong,
        record=storable(record(conversation, cut.until, history.room(condensing.RECORD_SHARE))),
        pinned=storable(runs.pinned_of(run)),
        window_tokens=history.window_tokens,
        tokens_before=history.tokens(history.size),
        usage=usage,
    )
    conversation.summary, conversation.condensed_until = condensation.text, cut.until
    conversation.save(update_fields=["summary", "condensed_until"])
    news.publish(run, [("condensed", {"condensation": condensation.pk, "run": run.pk}), *told])
