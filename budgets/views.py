"""What everything costs, and how much more it may."""

from itertools import islice
from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from budgets import access, forecasts, history, queries, spending
from budgets.forms import LimitForm
from budgets.models import Account, Limit
from budgets.services import accounts
from mcc.core import pages
from mcc.core.errors import DomainError
from mcc.core.models import User

KIND_PAGE = 25
KINDS = {
    Account.Kind.PROJECT.value: "Projects",
    Account.Kind.AGENT.value: "Agents",
    Account.Kind.AGENT_TYPE.value: "Kinds of agents",
    Account.Kind.ISSUE.value: "Issues",
}
OWNED = (Account.Kind.PROJECT, Account.Kind.ISSUE, Account.Kind.AGENT)


@require_GET
def overview(request: HttpRequest) -> HttpResponse:
    """The company's money, then that of projects, agents, kinds of agents and issues: a few of each, or, with
    ``?kind=project``, all of one kind in pages. Nothing for who is in no project.
    """
    user = pages.person(request)
    if not access.sees_company(user):
        return render(request, "budgets/overview.html")
    visible = access.visible_accounts(user)
    kind = request.GET.get("kind", "")
    shared: dict[str, Any] = {"stopped": _stopped(user, visible), "kind": kind}
    if kind in KINDS:
        page = Paginator(spending.of_kind(visible, kind), KIND_PAGE).get_page(request.GET.get("page"))
        shared |= {"page": page} | _rows(user, [(kind, list(page.object_list), page.paginator.count)])
        return render(request, "budgets/overview.html", shared)
    found = spending.first_of_kinds(visible, KINDS)
    context = shared | _rows(user, found)
    # Few, so that all of them were found.
    roles = next(group for each, group, _ in found if each == Account.Kind.AGENT_TYPE)
    context |= {
        "chart": spending.chart(roles, title="Cost per day by kind of agent", limit=context["company"].first),
        "usages": spending.latest(user),
    }
    return render(request, "budgets/overview.html", context)


def _rows(user: User, found: list[tuple[str, list[Account], int]]) -> dict[str, Any]:
    """Context for the company and for groups of a kind, its first accounts, and how many there are: read at once."""
    company, *rows = spending.rows([accounts.global_account(), *(each for _, group, _ in found for each in group)])
    following = iter(rows)
    return {
        "company": company,
        "may_manage": bool(_managed(user, [company.account.pk])),
        "groups": [(KINDS[kind], kind, list(islice(following, len(group))), count) for kind, group, count in found],
    }


@require_GET
def account(request: HttpRequest, pk: int) -> HttpResponse:
    """One account: its limits, its days, and each generation that it paid for."""
    user = pages.person(request)
    found = get_object_or_404(access.visible_accounts(user), pk=pk)
    return render(request, "budgets/account.html", _account(user, found, request.GET.get("page", "")))


def _history(found: Account, page: str) -> dict[str, Any]:
    """What was told and what was changed, twenty of each a page."""
    number = int(page) if page.isascii() and page.isdecimal() and 0 < len(page) < 7 and int(page) else 1
    following = number + 1
    return {
        "alerts": history.alerts(found, number),
        "changes": history.changes(found, number),
        "newer": number - 1,
        "older": following if history.changes(found, following) or history.alerts(found, following) else 0,
    }


def _account(user: User, found: Account, page: str = "") -> dict[str, Any]:
    row = spending.rows([found])[0]
    return _limits(user, found, page=page) | {
        "row": row,
        "chart": spending.chart([found], title=f"Cost of {found.name} per day", limit=row.first),
        "stopped": _stopped(user, Account.objects.filter(pk=found.pk)),
        "may_pause": _may_pause(user, found, _managed(user, [found.pk])),
        "usages": spending.latest(user, found),
    }


@require_POST
@vary_on_headers("HX-Request")
def set_limit(request: HttpRequest, pk: int) -> HttpResponse:
    """Set what an account may spend in a period, or change it. The form of a limit that exists has its prefix."""
    user = pages.person(request)
    found = _managed_or_404(user, pk)
    prefix = request.POST.get("prefix") or None
    form = LimitForm(request.POST, prefix=prefix, taken=() if prefix else _taken_periods(found))
    if form.is_valid():
        values = form.cleaned_data
        try:
            accounts.set_limit(
                found,
                form.amount_nanousd,
                period=values["period"],
                action=values["action"],
                warn_ratio=form.warn_ratio,
                user=user,
            )
        except DomainError as refusal:
            form.add_error(None, refusal.detail)
        else:
            return _after(request, user, found)
    return _answer(request, user, found, form)


@require_http_methods(["GET", "POST"])
@vary_on_headers("HX-Request")
def remove_limit(request: HttpRequest, pk: int) -> HttpResponse:
    """Let an account spend what its other limits and those above it allow. GET asks first."""
    user = pages.person(request)
    limit = get_object_or_404(Limit.objects.select_related("account"), pk=pk, active=True)
    found = _managed_or_404(user, limit.account_id)
    if request.method == "GET":
        others = found.limits.filter(active=True).exclude(pk=pk).exists()
        return render(request, "budgets/remove_limit.html", {"account": found, "limit": limit, "others": others})
    accounts.clear_limit(limit, user=user)
    return _after(request, user, found)


def _after(request: HttpRequest, user: User, found: Account) -> HttpResponse:
    if pages.wants_fragment(request):
        return render(request, "budgets/_limits_changed.html", _account(user, found))
    return pages.go(request, reverse("budgets:account", args=[found.pk]))


def _answer(request: HttpRequest, user: User, found: Account, form: LimitForm) -> HttpResponse:
    """Show the limits again, with what is wrong in the form that was sent."""
    context = _limits(user, found, sent=form)
    if not pages.wants_fragment(request):
        context = _account(user, found) | context
    name = "budgets/_limits.html" if pages.wants_fragment(request) else "budgets/account.html"
    return render(request, name, context, status=422)


def _limits(user: User, found: Account, sent: LimitForm | None = None, page: str = "") -> dict[str, Any]:
    """Context of ``_limits.html``: each limit with the form that changes it, and the form for a new one."""
    standings = forecasts.with_forecasts([found], queries.standings_of([found]))[found.pk]
    forms = {form.prefix: form for form in [LimitForm.of(standing.limit) for standing in standings]}
    fresh = LimitForm(taken={standing.limit.period for standing in standings})
    if sent is not None:
        forms |= {sent.prefix: sent} if sent.prefix in forms else {}
        fresh = fresh if sent.prefix in forms else sent
    return {
        "account": found,
        "may_manage": access.managed_accounts(user).filter(pk=found.pk).exists(),
        "limits": list(zip(standings, forms.values(), strict=True)),
        "form": fresh,
        "others": len(standings) > 1,
        "all_set": len(standings) == len(Limit.Period),
        "sent": sent,
    } | _history(found, page)


def _taken_periods(account: Account) -> set[str]:
    return set(account.limits.filter(active=True).values_list("period", flat=True))


def _managed(user: User, among: list[int]) -> set[int]:
    return set(access.managed_accounts(user).filter(pk__in=among).values_list("pk", flat=True))


def _stopped(user: User, among: QuerySet[Account]) -> list[tuple[Account, bool]]:
    """The stopped ones, each with whether ``user`` may resume it. The stop of the company has a banner of its own."""
    frozen = list(among.filter(frozen_at__isnull=False).exclude(kind=Account.Kind.GLOBAL).order_by("frozen_at"))
    managed = _managed(user, [account.pk for account in frozen]) if frozen else set()
    return [(account, _may_pause(user, account, managed)) for account in frozen]


def _may_pause(user: User, account: Account, managed: set[int]) -> bool:
    """Projects and issues are paused by who decides in them, agents by who decides anywhere."""
    if account.kind == Account.Kind.AGENT:
        return access.decides(user)
    return account.kind in OWNED and account.pk in managed


def _managed_or_404(user: User, pk: int) -> Account:
    """404 for what ``user`` cannot see, 403 for what they only see."""
    found = get_object_or_404(access.visible_accounts(user), pk=pk)
    if not access.managed_accounts(user).filter(pk=pk).exists():
        raise PermissionDenied
    return found
