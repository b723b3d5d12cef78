"""The names of the company's refusals."""

from mcc.core.errors import DomainError, InvalidInput


class IllegalTransition(DomainError):
    """There is no such arrow in the workflow."""

    code = "illegal_transition"

    def __init__(self, source: str, target: str) -> None:
        super().__init__(f"There is no way from {source} to {target}.")


class MovedMeanwhile(DomainError):
    """Somebody moved the row first. Whoever asked looks again."""

    code = "moved_meanwhile"

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} was moved by somebody else meanwhile.")


class RequestClosed(DomainError):
    """The question is answered or void."""

    code = "request_closed"


class PlanRefused(InvalidInput):
    """The plan has a fault that its author can mend; the text says which."""

    code = "plan_refused"


class NotYours(DomainError):
    """A tool was called by a run whose work it does not belong to."""

    code = "not_yours"


class NothingThere(DomainError):
    """What was asked for does not exist in this project."""

    code = "nothing_there"
    http_status = 422
