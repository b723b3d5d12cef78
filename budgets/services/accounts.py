"""Accounts, what they may spend, and the stop."""

from datetime import datetime
from decimal import Decimal
from functools import partial

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from budgets import history
from budgets.models import Account, Freeze, Limit
from budgets.services import buckets, locks
from budgets.signals import account_frozen, account_thawed, limit_changed
from mcc.core import audit
from mcc.core.errors import InvalidInput
from mcc.core.models import User
from mcc.core.money import NANOUSD, usd_display

WARN_RATIO = Decimal("0.80")
HIGHEST_NANOUSD = 1_000_000 * NANOUSD
"""The most that a limit allows: whoever writes more has mistyped."""
Terms = dict[str, int | str]


def open_account(kind: Account.Kind, name: str) -> Account:
    """Return a new account. Its owner points at it."""
    return Account.objects.create(kind=kind, name=name)


def global_account() -> Account:
    """Return the account that every hold counts against, whoever spends. Freezing it is the emergency stop."""
    account, _ = Account.objects.get_or_create(kind=Account.Kind.GLOBAL, defaults={"name": "company"})
    return account


def agent_type_account(role: str) -> Account:
    """Return the account that all agents of ``role`` share."""
    account, _ = Account.objects.get_or_create(kind=Account.Kind.AGENT_TYPE, name=role)
    return account


@transaction.atomic
def set_limit(
    account: Account,
    amount_nanousd: int,
    *,
    period: Limit.Period | str,
    action: Limit.Action | str = Limit.Action.BLOCK,
    warn_ratio: Decimal = WARN_RATIO,
    user: User | None = None,
    at: datetime | None = None,
) -> Limit:
    """Let ``account`` spend ``amount_nanousd`` a ``period`` from now on, in place of its limit for that period.

    What the period saw before counts, spent or in flight. The next hold sees the limit. Locks the account,
    and writes down that ``user`` (None: Mission Control itself) changed it from what to what. Raises InvalidInput.
    Listeners hear ``limit_changed``. ``at`` is now, except in tests.
    """
    _check(amount_nanousd, period, action, warn_ratio)
    locks.alone(account.pk)
    # The latest one of the period comes back to life, so that its bucket and its alerts go on.
    limit = Limit.objects.filter(account=account, period=period).order_by("active", "pk").last()
    limit = limit or Limit(account=account, period=period, active=False)
    before = _terms(limit)
    limit.amount_nanousd, limit.warn_ratio = amount_nanousd, warn_ratio
    limit.action, limit.active = Limit.Action(action), True
    limit.save()
    _note_change(limit, before, user)
    buckets.open_one(limit, at or timezone.now())
    return limit


@transaction.atomic
def raise_limit(limit: Limit, more_nanousd: int, *, user: User | None = None) -> None:
    """Let ``limit`` allow so much more than it allows now, as far as a limit goes. Nothing when it was taken away.

    Others may change it meanwhile: what they wrote is what is added to.
    """
    locks.alone(limit.account_id)
    limit.refresh_from_db()
    if limit.active:
        amount = min(limit.amount_nanousd + more_nanousd, HIGHEST_NANOUSD)
        period, action, ratio = limit.period, limit.action, limit.warn_ratio
        set_limit(limit.account, amount, period=period, action=action, warn_ratio=ratio, user=user)


def _check(amount_nanousd: int, period: str, action: str, warn_ratio: Decimal) -> None:
    fields: dict[str, list[str]] = {}
    if amount_nanousd < 0:
        fields["amount_nanousd"] = ["A limit cannot be negative."]
    if amount_nanousd > HIGHEST_NANOUSD:
        fields["amount_nanousd"] = [f"A limit is {usd_display(HIGHEST_NANOUSD)} at most."]
    if not 0 < warn_ratio <= 1:
        fields["warn_ratio"] = ["The warning comes above 0 and up to 1."]
    if period not in Limit.Period.values:
        fields["period"] = [f"One of {', '.join(Limit.Period.values)}."]
    if action not in Limit.Action.values:
        fields["action"] = [f"One of {', '.join(Limit.Action.values)}."]
    if fields:
        raise InvalidInput("This limit makes no sense.", fields=fields)


@transaction.atomic
def clear_limit(limit: Limit, *, user: User | None = None) -> None:
    """Stop applying ``limit``. What it saw stays, and goes on being counted until its period ends."""
    locks.alone(limit.account_id)
    limit.refresh_from_db()
    before = _terms(limit)
    limit.active = False
    limit.save(update_fields=["active"])
    _note_change(limit, before, user)


def _terms(limit: Limit) -> Terms | None:
    """What ``limit`` says, as the audit trail keeps it; None while it does not apply."""
    if not limit.active:
        return None
    percent = int(limit.warn_ratio * 100)
    return {"amount_nanousd": limit.amount_nanousd, "action": str(limit.action), "warn_percent": percent}


def _note_change(limit: Limit, before: Terms | None, user: User | None) -> None:
    after = _terms(limit)
    if after != before:
        detail = {"period": str(limit.period), "from": before, "to": after}
        audit.record(user, history.SET if after else history.CLEARED, f"budgets.account:{limit.account_id}", detail)
        transaction.on_commit(partial(limit_changed.send_robust, Account, account=limit.account))


def freeze(account: Account, *, user: User | None = None, reason: str = "", gently: bool = False) -> Account:
    """Stop the spending on ``account``: once this has committed, no hold on it is admitted, in any process.

    ``gently`` lets commands that are under way come to their end; model calls are cut all the same.
    Waits for the holds and settlements under way. Do it last in a transaction of your own: whoever settles a hold
    waits until you commit. Freezing twice changes nothing, but that the second may end what the first let go on, and
    that a ``user`` takes over what Mission Control itself froze, and an administrator what somebody else did: from then
    on it is theirs, with their reason.
    """
    return locks.urgently(partial(_freeze, account, user, reason[:200], gently, timezone.now()))


@transaction.atomic
def _freeze(account: Account, user: User | None, reason: str, gently: bool, at: datetime) -> Account:
    locks.alone(account.pk)
    change = {"frozen_at": at, "frozen_reason": reason, "frozen_gently": gently}
    if Account.objects.filter(pk=account.pk, frozen_at=None).update(**change):
        Freeze.objects.create(account=account, user=user, reason=reason, gently=gently, at=at)
        audit.record(user, "budgets.freeze", _subject(account), {"reason": reason, "gently": gently})
        transaction.on_commit(partial(account_frozen.send_robust, Account, account=account))
    else:
        _add_to_stop(account, user, reason, gently)
    account.refresh_from_db()
    return account


def _add_to_stop(account: Account, user: User | None, reason: str, gently: bool) -> None:
    """Do to the stop that is on what a second one may."""
    if user is not None and _weaker(account, user).update(user=user, reason=reason):
        Account.objects.filter(pk=account.pk).update(frozen_reason=reason)
        audit.record(user, "budgets.freeze", _subject(account), {"reason": reason, "gently": gently})
    if not gently and Account.objects.filter(pk=account.pk, frozen_gently=True).update(frozen_gently=False):
        Freeze.objects.filter(account=account, thawed_at=None).update(gently=False)
        audit.record(user, "budgets.freeze", _subject(account), {"reason": reason, "gently": False})


def _weaker(account: Account, user: User) -> QuerySet[Freeze]:
    """Return the stop that is on if ``user`` takes it over: Mission Control's own, as an administrator others', too."""
    theirs = Q(user=None) | Q(user__is_superuser=False) if user.is_superuser else Q(user=None)
    return Freeze.objects.filter(theirs, account=account, thawed_at=None)


@transaction.atomic
def thaw(account: Account, *, user: User | None = None) -> Account:
    """Allow spending on ``account`` again."""
    locks.alone(account.pk)
    frozen = Account.objects.filter(pk=account.pk, frozen_at__isnull=False)
    if frozen.update(frozen_at=None, frozen_reason="", frozen_gently=False):
        Freeze.objects.filter(account=account, thawed_at=None).update(thawed_at=timezone.now(), thawed_by=user)
        audit.record(user, "budgets.thaw", _subject(account))
        transaction.on_commit(partial(account_thawed.send_robust, Account, account=account))
    account.refresh_from_db()
    return account


def _subject(account: Account) -> str:
    return f"budgets.account:{account.pk}"
