from collections.abc import Callable, Sequence
from datetime import UTC
from typing import Any, TypeVar

from django.db import models
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from mcc.core.models import User
from projects.services.rights import require_administrator

Row = TypeVar("Row", bound=models.Model)


def caller(request: Request) -> User:
    """Return who calls. Every endpoint requires a login, so it is never nobody."""
    assert isinstance(request.user, User)
    return request.user


def administrator(request: Request) -> User:
    """Return who calls. Raises NotAllowed for everybody but administrators."""
    user = caller(request)
    require_administrator(user)
    return user


class Endpoint(GenericAPIView):
    """What the endpoints share: lists come in pages, times in UTC, wherever the deployment is."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # noqa: ANN401 (DRF's)
        with timezone.override(UTC):
            return super().dispatch(request, *args, **kwargs)

    def paged(self, rows: models.QuerySet[Row], show: Callable[[Sequence[Row]], object]) -> Response:
        """Answer with one page of ``rows``; ``show`` turns the rows of a page into what is sent."""
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(show(page or []))
