"""The two families of failure that the product expects. All else is a bug and crashes."""


class DomainError(Exception):
    """A refusal with a reason that a person, a program or an agent can read. Never a 500."""

    code = "refused"
    http_status = 409

    def __init__(self, detail: str, *, fields: dict[str, list[str]] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.fields = fields


class InvalidInput(DomainError):
    """What was sent does not make sense; ``fields`` says where."""

    code = "invalid"
    http_status = 422


class NotAllowed(DomainError):
    """The person is known, and may not do this."""

    code = "not_allowed"
    http_status = 403


class ProviderError(Exception):
    """Something outside failed. ``permanent``: trying again will not help."""

    def __init__(self, detail: str, *, permanent: bool = False, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.permanent = permanent
        self.retry_after_s = retry_after_s
