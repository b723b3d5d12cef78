"""Usages row by row: what each was for, what was set aside for it, and the message that it paid for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from django.db.models import Prefetch, Q, QuerySet

from agents.models import Agent, Charge, Message, ModelCard, Outcome, Purpose, Run
from agents.outcomes import GOING_ON
from budgets.models import Account, Hold, Posting, Usage
from mcc.core.errors import InvalidInput
from projects.models import Issue, Project

Kind = Account.Kind
PAGE, BATCH = 50, 500
CONDENSE = "condense"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
US = timedelta(microseconds=1)


@dataclass(frozen=True)
class Cursor:
    """Where a list goes on: after the posting ``key``, made at ``at``. Written ``<microseconds>-<key>``."""

    at: datetime
    key: int

    @classmethod
    def of(cls, posting: Posting) -> Self:
        return cls(posting.at, posting.pk)

    @classmethod
    def read(cls, text: str) -> Self:
        """Raises InvalidInput."""
        moment, _, key = text.partition("-")
        if not all(part.isascii() and part.isdecimal() and len(part) < 18 for part in (moment, key)):
            raise InvalidInput("There is no such place in the list.", fields={"before": ["As `next` writes it."]})
        return cls(EPOCH + int(moment) * US, int(key))

    def __str__(self) -> str:
        return f"{(self.at - EPOCH) // US}-{self.key}"


@dataclass(frozen=True)
class UsageLine:
    """One usage. ``at`` is when its call was admitted, which says in which day it counts."""

    at: datetime
    usage: Usage
    project: Project | None
    issue: Issue | None
    agent: Agent | None
    role: str
    run: int | None
    purpose: str
    outcome: str
    message: int | None
    card: ModelCard | None
    """The model that was asked, at the provider that was called, while it is in the catalogue."""

    @property
    def held_nanousd(self) -> int:
        """What was set aside for it."""
        return self.usage.hold.amount_nanousd

    @property
    def outcome_words(self) -> str:
        return Outcome(self.outcome).label if self.outcome in Outcome.values else "not over yet" if self.outcome else ""

    @property
    def purpose_words(self) -> str:
        return "Condense" if self.purpose == CONDENSE else Purpose(self.purpose).label if self.purpose else ""


def page(rows: QuerySet[Posting], before: str = "", size: int = PAGE) -> tuple[list[UsageLine], str]:
    """Return the latest ``rows`` before a cursor, and the cursor after them; empty: these are the last."""
    found = _after(rows, Cursor.read(before) if before else None, size + 1)
    following = str(Cursor.of(found[size - 1])) if len(found) > size else ""
    return lines(found[:size]), following


def every(rows: QuerySet[Posting]) -> Iterator[list[UsageLine]]:
    """Yield all ``rows``, latest first, in batches: what is in memory does not grow with what there is."""
    cursor = None
    while found := _after(rows, cursor, BATCH):
        yield lines(found)
        cursor = Cursor.of(found[-1])


def _after(rows: QuerySet[Posting], cursor: Cursor | None, most: int) -> list[Posting]:
    if cursor:
        # The first condition is implied by the others; with it the database starts at the right place of its index.
        rows = rows.filter(at__lte=cursor.at).filter(Q(at__lt=cursor.at) | Q(pk__lt=cursor.key))
    # Not joined: a database whose statistics are old may begin the join with all usages.
    found = list(rows.order_by("-at", "-pk")[:most])
    usages = Usage.objects.in_bulk([posting.usage_id for posting in found])
    holds = Hold.objects.in_bulk([usage.hold_id for usage in usages.values()])
    for posting in found:
        posting.usage = usages[posting.usage_id]
        posting.usage.hold = holds[posting.usage.hold_id]
    return found


def lines(found: Sequence[Posting]) -> list[UsageLine]:
    """Return ``found`` with what they were for. At most seven queries, however many."""
    known = _Known([posting.usage for posting in found])
    return [known.line(posting) for posting in found]


class _Known:
    """Whatever there is to know about some usages, looked up at once."""

    def __init__(self, rows: Sequence[Usage]) -> None:
        usages = [usage.pk for usage in rows]
        # Keys and names in place of five postings and their accounts for each usage.
        self._payers: dict[int, dict[str, tuple[int, str]]] = {}
        paid = Posting.objects.filter(usage__in=usages)
        for usage, kind, account, name in paid.values_list("usage", "account__kind", "account", "account__name"):
            self._payers.setdefault(usage, {})[kind] = account, name
        # Only what lines show: what a project or an issue is told is long.
        projects = Project.objects.filter(account__in=self._paying(Kind.PROJECT)).only("account", "key", "name")
        self._projects = {each.account_id: each for each in projects}
        issues = Issue.objects.filter(account__in=self._paying(Kind.ISSUE)).select_related("project")
        issues = issues.only("account", "number", "title", "project__key", "project__name")
        self._issues = {each.account_id: each for each in issues}
        agents = Agent.objects.filter(account__in=self._paying(Kind.AGENT)).only("account", "name")
        self._agents = {each.account_id: each for each in agents}
        self._messages = dict(Message.objects.filter(usage__in=usages).values_list("usage", "pk"))
        named = ModelCard.objects.filter(name__in={usage.model_asked for usage in rows}).select_related("provider")
        self._cards = {(card.provider.name, card.name): card for card in named}
        # Without what a run was told: that is long.
        runs = Run.objects.only("pk", "purpose", "outcome", "status")
        charges = Charge.objects.filter(usage__in=usages).prefetch_related(Prefetch("run", runs))
        self._runs = {charge.usage_id: charge.run for charge in charges}

    def _paying(self, kind: Kind) -> set[int]:
        return {by_kind[kind][0] for by_kind in self._payers.values() if kind in by_kind}

    def line(self, posting: Posting) -> UsageLine:
        usage, run = posting.usage, self._runs.get(posting.usage_id)
        payers = self._payers[usage.pk]
        keys = {kind: account for kind, (account, _) in payers.items()}
        role = payers.get(Kind.AGENT_TYPE)
        purpose = CONDENSE if f"/{CONDENSE}:" in usage.hold.reference else run.purpose if run else ""
        return UsageLine(
            at=posting.at,
            usage=usage,
            project=self._projects.get(keys.get(Kind.PROJECT, 0)),
            issue=self._issues.get(keys.get(Kind.ISSUE, 0)),
            agent=self._agents.get(keys.get(Kind.AGENT, 0)),
            role=role[1] if role else "",
            run=run.pk if run else None,
            purpose=purpose,
            outcome=(run.outcome or GOING_ON) if run else "",
            message=self._messages.get(usage.pk),
            card=self._cards.get((usage.hold.provider, usage.model_asked)),
        )
