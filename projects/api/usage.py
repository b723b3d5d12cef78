from typing import Any

from django.http import StreamingHttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from budgets.models import Usage
from mcc.core.errors import InvalidInput
from projects import usage, usage_csv, usage_lines
from projects.api.endpoint import Endpoint, caller
from projects.api.fields import shown
from projects.api.serializers import TotalsOut, UsageGroupOut, UsageOut, UsagePageOut
from projects.usage_filter import UsageFilterForm

FILTERS = [
    OpenApiParameter("project", str, description="key, as in ATL"),
    OpenApiParameter("issue", str, description="key, as in ATL-12"),
    OpenApiParameter("agent", str, description="name"),
    OpenApiParameter("account", int, description="what one account paid"),
    OpenApiParameter("model", str, description="that answered"),
    OpenApiParameter("provider", str, description="who answered; behind a broker, who runs the model"),
    OpenApiParameter("model_asked", str, description="that was asked for"),
    OpenApiParameter("endpoint", str, description="name of the provider that was called"),
    OpenApiParameter("run", int),
    OpenApiParameter("since", str, description="day, as in 2031-03-01, in the time zone of the deployment"),
    OpenApiParameter("until", str, description="day, included"),
    OpenApiParameter("outcome", str, description="of the run; open: not over yet; none: no run"),
    OpenApiParameter("source", str, description="who says what it cost", enum=Usage.Source.values),
    OpenApiParameter("group_by", str, enum=list(usage.GROUPINGS), description="sums in place of rows"),
    OpenApiParameter("before", str, description="where to go on, as `next` writes it"),
    OpenApiParameter("format", str, enum=["json", "csv"], description="csv: all rows, streamed"),
]


class CSV(BaseRenderer):
    """Only announces the format: the rows are streamed past it."""

    media_type = "text/csv"
    format = "csv"


class UsageList(Endpoint):
    """Every billed generation that the caller may see, newest first, with what all of them came to."""

    queryset = Usage.objects.none()
    serializer_class = UsagePageOut
    renderer_classes = [JSONRenderer, CSV]

    @extend_schema(operation_id="usage_list", responses=UsagePageOut, parameters=FILTERS)
    def get(self, request: Request) -> Response | StreamingHttpResponse:
        user, form = caller(request), UsageFilterForm(caller(request), request.query_params)
        asked = form.filter
        if request.accepted_renderer.format == CSV.format:
            return usage_csv.response(usage.postings(user, asked), form.given)
        by = request.query_params.get("group_by", "")
        if by and by not in usage.GROUPINGS:
            raise InvalidInput("No such grouping.", fields={"group_by": [f"One of {', '.join(usage.GROUPINGS)}."]})
        sums = usage.sums(user, asked, by) if by else None
        totals = sums.totals if sums else usage.totals(user, asked)
        answer: dict[str, Any] = {"count": totals.generations, "next": None, "previous": None}
        answer |= {"totals": TotalsOut(totals).data, "at_risk_usd": shown(usage.risk(user, asked).amount_nanousd)}
        if sums:
            return Response(answer | {"groups": UsageGroupOut(sums.groups, many=True).data})
        before = request.query_params.get("before", "")
        lines, following = usage_lines.page(usage.recent(user, asked, before), before)
        return Response(answer | {"next": _next(request, following), "results": UsageOut(lines, many=True).data})


def _next(request: Request, before: str) -> str | None:
    if not before:
        return None
    given = request.query_params.copy()
    given["before"] = before
    return request.build_absolute_uri(f"?{given.urlencode()}")
