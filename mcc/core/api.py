"""What the API takes in, and the one shape of its errors: ``{"code", "detail", "fields"?}``."""

import json
from collections.abc import Mapping
from typing import IO, Any

from rest_framework import parsers
from rest_framework.exceptions import APIException, ParseError, ValidationError
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_exception_handler

from mcc.core.errors import DomainError, ProviderError
from mcc.core.redaction import redact


class JSONParser(parsers.JSONParser):
    """Takes JSON whose texts can be written down: not with half of a surrogate pair, which no answer could repeat."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        data: dict[str, Any] = super().parse(stream, media_type, parser_context)
        try:
            json.dumps(data, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ParseError("A text holds half of a surrogate pair, which is no character.") from None
        return data


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Answer refusals and bad input with a code and a sentence; let bugs crash."""
    if isinstance(error, DomainError):
        body: dict[str, Any] = {"code": error.code, "detail": redact(error.detail)}
        if error.fields:
            body["fields"] = error.fields
        return Response(body, status=error.http_status)
    if isinstance(error, ProviderError):
        return Response({"code": "provider", "detail": redact(error.detail)}, status=502)
    response = drf_exception_handler(error, context)
    if response is None:
        return None
    if isinstance(error, ValidationError):
        response.data = {"code": "invalid", "detail": "The input is not valid.", "fields": error.detail}
        response.status_code = 422
    elif isinstance(error, APIException):
        code, sentence = _reason(error)
        response.data = {"code": code, "detail": sentence}
    else:
        response.data = {
            "code": "not_found" if response.status_code == 404 else "not_allowed",
            "detail": str(error),
        }
    return response


def _reason(error: APIException) -> tuple[str, str]:
    """Return code and sentence; simplejwt puts both, and more, into a dictionary."""
    detail = error.detail
    if isinstance(detail, dict):
        return str(detail.get("code", error.default_code)), str(detail.get("detail", error.default_detail))
    return str(getattr(detail, "code", error.default_code)), str(detail)
