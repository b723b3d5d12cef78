"""Every billed generation: what it was for, what it cost, and the message that it paid for."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET

from budgets import access, periods, queries
from budgets.services.accounts import global_account
from mcc.core import pages
from mcc.core.errors import InvalidInput
from mcc.core.models import User
from projects import usage, usage_csv, usage_lines
from projects.usage_filter import UsageFilterForm, query

GROUPS_SHOWN, HOLDS_SHOWN = 60, 10
WORDS = {"model_asked": "model asked", "endpoint": "provider", "provider": "answered by"}
"""What people call a grouping whose name is not what they call it."""


@require_GET
def explorer(request: HttpRequest) -> HttpResponse:
    """Those that ``?project=ATL&since=2031-03-01`` asks for, added up, grouped by ``?by=day``, and row by row."""
    user = pages.person(request)
    form = UsageFilterForm(user, request.GET)
    by = request.GET.get("by", "")
    by = by if by in usage.GROUPINGS else "day"
    context = {"form": form, "by": by, "by_words": WORDS.get(by, by), "given": form.given, "zone": periods.zone_words()}
    # What the fields for free text offer.
    context["names"] = {name: sorted(each) for name, each in queries.ever(global_account(), *usage.NAMED).items()}
    try:
        found = _found(user, form, by, request.GET.get("before", ""))
    except InvalidInput:
        return render(request, "projects/usage.html", context, status=422)
    return render(request, "projects/usage.html", context | found)


def _found(user: User, form: UsageFilterForm, by: str, before: str) -> dict[str, Any]:
    asked, given = form.filter, form.given
    sums = usage.sums(user, asked, by, most=GROUPS_SHOWN)
    lines, following = usage_lines.page(usage.recent(user, asked, before), before)
    return {
        "totals": sums.totals,
        "groupings": [(name, WORDS.get(name, name), query(given, by=name)) for name in usage.GROUPINGS],
        "groups": [(group, _narrowed(given, by, group)) for group in sums.groups],
        "highest": sums.highest_nanousd,
        "others": sums.others,
        "lines": lines,
        "before": before,
        "older": query(given, by=by, before=following) if following else "",
        "newest": query(given, by=by),
        "export": query(given),
        "holds": usage.open_holds(user, asked)[:HOLDS_SHOWN],
        "risk": usage.risk(user, asked),
        "account": asked.account,
    }


def _narrowed(given: dict[str, str], by: str, group: usage.Group) -> str:
    """Return the query that asks for one group only; empty: there is no word for it."""
    if not group.value:
        return ""
    names = {"day": ("since", "until"), "role": ("account",)}
    return query(given, **dict.fromkeys(names.get(by, (by,)), group.value), by=by)


@require_GET
def call(request: HttpRequest, pk: int) -> HttpResponse:
    """Lead to the message that a call paid for; to its run, or to all calls, when it brought none."""
    seen = access.visible_postings(pages.person(request)).filter(usage=pk)
    lines, _ = usage_lines.page(seen, size=1)
    if not lines:
        raise Http404
    line = lines[0]
    if line.run is None:
        return redirect("projects:usage")
    place = f"#message-{line.message}" if line.message else ""
    return redirect(reverse("projects:run", args=[line.run]) + place)


@require_GET
def export(request: HttpRequest) -> StreamingHttpResponse:
    """The rows of the explorer as CSV. Their costs add up to the total of the page."""
    user = pages.person(request)
    form = UsageFilterForm(user, request.GET)
    return usage_csv.response(usage.postings(user, form.filter), form.given)
