"""Whether all that a stop covers has come to rest, and how long that took: from the press to the last closed stream and
the last ended command, as their rows say when they ended.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.db.models import Model, QuerySet

from agents.models import Run
from agents.runner import claims
from budgets import queries
from budgets.models import Account, Freeze, Hold, Usage
from mcc.core import audit
from mcc.core.models import Errand
from mcc.core.money import usd_string
from projects.models import Check, Issue, PullRequest
from projects.services import news

WITH_COMMANDS = ("projects.run_checks", "projects.merge", "projects.watch_base")
"""Errands on a pull request that run commands of the project."""


def unfinished() -> QuerySet[Freeze]:
    """Return the stops that nobody has seen come to rest."""
    return Freeze.objects.filter(thawed_at=None, commands_ms=None).select_related("account", "user")


def measure(freeze: Freeze) -> bool:
    """Write down how long ``freeze`` took, once nothing that it covers moves any more. Says whether it is so."""
    account, issues = freeze.account, _issues(freeze.account)
    open_holds = Hold.objects.open().on([account]).filter(state=Hold.State.SENT)
    covered = Run.objects.filter(claims.frozen(Account.objects.filter(pk=account.pk)))
    if open_holds.exists():
        return False
    _set(freeze, streams_ms=_streams_ms(freeze))
    if covered.filter(status=Run.Status.RUNNING).exists() or _commands_on(issues).exists():
        return False
    checks = Check.objects.filter(pull_request__issue__in=issues)
    ends = (_last(covered, "put_down_at", freeze), _last(covered, "finished_at", freeze))
    if _set(freeze, commands_ms=_ms(freeze, *ends, _last(checks, "finished_at", freeze))):
        took: dict[str, object] = {"streams_ms": freeze.streams_ms, "commands_ms": freeze.commands_ms}
        took |= {"at_risk_usd": usd_string(queries.at_risk_nanousd(account))}
        audit.record(freeze.user, "budgets.at_rest", f"budgets.account:{account.pk}", took)
    return True


def _set(freeze: Freeze, **took: int) -> bool:
    """Write down a time, once. False: somebody did."""
    if not Freeze.objects.filter(pk=freeze.pk, **dict.fromkeys(took)).update(**took):
        return False
    freeze.refresh_from_db(fields=list(took))
    news.company_changed()
    return True


def _streams_ms(freeze: Freeze) -> int:
    lost = Hold.objects.filter(lines__account=freeze.account)
    answered = Usage.objects.filter(
        hold__lines__account=freeze.account, hold__created_at__lte=freeze.at, hold__lost_at=None
    )
    return _ms(freeze, _last(lost, "lost_at", freeze), _last(answered, "at", freeze))


def _last(rows: "QuerySet[Model]", field: str, freeze: Freeze) -> datetime | None:
    """Return the latest of the moments in ``field`` that came after the stop."""
    after: Mapping[str, object] = {f"{field}__gte": freeze.at}
    return rows.filter(**after).order_by(f"-{field}").values_list(field, flat=True).first()


def _ms(freeze: Freeze, *moments: datetime | None) -> int:
    last = max((moment for moment in moments if moment is not None), default=freeze.at)
    return round((last - freeze.at) / timedelta(milliseconds=1))


def _issues(account: Account) -> QuerySet[Issue]:
    """Return the issues that a stop of ``account`` covers: those of agents go on with others."""
    if account.kind == Account.Kind.GLOBAL:
        return Issue.objects.all()
    if account.kind == Account.Kind.PROJECT:
        return Issue.objects.filter(project__account=account)
    return Issue.objects.filter(account=account)


def _commands_on(issues: QuerySet[Issue]) -> QuerySet[Errand]:
    pulls = PullRequest.objects.filter(issue__in=issues).values("pk")
    return Errand.objects.filter(status=Errand.Status.RUNNING, kind__in=WITH_COMMANDS, subject__in=pulls)
