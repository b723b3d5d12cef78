"""Every way in which a provider fails. ``FAULTS`` names them all; how long the slow ones take suits a quick test."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from tests.provider import modes
from tests.provider.answer import Answer, Mode

TIMED_OUT = (408, 504, 524)


def refusing(status: int, *, headers: dict | None = None, **error: object) -> Mode:
    """Refuse before a token is generated. Nothing is billed."""
    return lambda answer: answer.refuse(status, {"code": status, "message": f"no: {status}", **error}, headers)


def limited(source: str, status: int = 402) -> Mode:
    """Refuse because somebody's money is at its end."""
    later = {"Retry-After": "0.01"} if "in_flight" in source else None
    return refusing(status, headers=later, metadata={"limit_source": source})


def timing_out(status: int, *, named: bool) -> Mode:
    """Give up after the model had begun. It is billed; ``named``: and the error tells under which id."""

    def mode(answer: Answer) -> None:
        answer.charge()
        headers = {"X-Generation-Id": answer.id} if named else None
        answer.refuse(status, {"code": status, "message": "timed out"}, headers)

    return mode


def in_minutes(minutes: int) -> str:
    """Return the date that ``Retry-After`` may be."""
    return format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), usegmt=True)


def _half(answer: Answer, *, named: bool = True) -> None:
    answer.open(named=named)
    answer.text("half")
    answer.charge()


def breaking_off(code: object) -> Mode:
    """An error inside the stream: the status is 200, and there is no usage."""

    def mode(answer: Answer) -> None:
        _half(answer)
        error = {"code": code, "message": "the model stumbled"}
        choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
        answer.over()
        answer.event({"error": error, "choices": [choice]})
        answer.end()

    return mode


def ending_in_error(answer: Answer) -> None:
    _half(answer)
    answer.finish("error")
    answer.done()


def cut(answer: Answer) -> None:
    """The connection breaks in the middle of a chunk."""
    _half(answer)
    answer.cut()


def ending_early(answer: Answer) -> None:
    """The stream ends in order, but the answer does not."""
    _half(answer)
    answer.end()


def reset_before_headers(*, billed: bool) -> Mode:
    def mode(answer: Answer) -> None:
        answer.charge(int(billed))
        answer.reset()

    return mode


def reset_after_headers(answer: Answer) -> None:
    answer.open()
    answer.charge()
    answer.reset()


def reset_in_the_middle(answer: Answer) -> None:
    _half(answer)
    answer.reset()


def reset_before_usage(answer: Answer) -> None:
    """The content came to its end, the bill did not come."""
    _half(answer)
    answer.finish("stop")
    answer.reset()


def reset_before_done(answer: Answer) -> None:
    _half(answer)
    answer.finish("stop")
    answer.usage()
    answer.reset()


def silent(seconds: float, *, billed: bool = False) -> Mode:
    """Not a byte; then nothing any more."""

    def mode(answer: Answer) -> None:
        answer.charge(int(billed))
        answer.wait(seconds)
        answer.reset()

    return mode


def silent_in_the_middle(seconds: float) -> Mode:
    def mode(answer: Answer) -> None:
        _half(answer)
        answer.wait(seconds)
        answer.reset()

    return mode


def repeating_an_id(answer: Answer) -> None:
    """Another answer had this very id. Both are billed."""
    answer.generation.id = "gen-twin"
    modes.plain(answer)


def answering_twice(answer: Answer) -> None:
    """The whole answer comes a second time, its usage too. It is billed once."""
    answer.open()
    for _ in range(2):
        answer.text("twice")
        answer.finish("stop")
        answer.usage()
    answer.done()


def going_on_after_the_end(answer: Answer) -> None:
    answer.open()
    answer.text("whole")
    answer.finish("stop")
    answer.usage()
    answer.over()
    answer.data(b"[DONE]")
    answer.text("and more")
    answer.done()


def telling(**usage: object) -> Mode:
    """A usage with something wrong in it. The bill is right."""

    def mode(answer: Answer) -> None:
        answer.open()
        answer.text("whole")
        answer.finish("stop")
        answer.usage(**usage)
        answer.done()

    return mode


def usage_without_cost(answer: Answer) -> None:
    answer.open()
    answer.text("whole")
    answer.charge()
    answer.finish("stop")
    answer.event({"choices": [], "usage": answer.usage_of()})
    answer.done()


def usage_of_another_kind(usage: object) -> Mode:
    def mode(answer: Answer) -> None:
        _half(answer)
        answer.finish("stop")
        answer.event({"choices": [], "usage": usage})
        answer.done()

    return mode


def saying(*pieces: bytes, named: bool = True) -> Mode:
    """Half an answer, then those bytes."""

    def mode(answer: Answer) -> None:
        _half(answer, named=named)
        answer.over()
        for piece in pieces:
            answer.send(piece)
        answer.end()

    return mode


def webpage(answer: Answer) -> None:
    """What a captive portal or a broken proxy says. No model ran."""
    answer.whole(200, b"<!doctype html><title>Sign in</title><p>Welcome to the hotel.")


def error_in_one_piece(answer: Answer) -> None:
    answer.whole(200, {"error": {"code": 503, "message": "no: 503"}})


def comments_only(answer: Answer) -> None:
    """The model ran and said nothing, for which nothing is billed. There is a record of it."""
    answer.open()
    answer.charge(0)
    for _ in range(5):
        answer.comment()
    answer.end()


REFUSALS: dict[str, Mode] = {
    **{f"refused {status}": refusing(status) for status in (400, 401, 403, 404, 413, 422, 429, 500, 502, 503, 529)},
    **{f"refused 402, {source}": limited(f"openrouter_{source}") for source in ("credits", "key_limit")},
    "refused 402, in flight": limited("openrouter_in_flight_budget"),
    "refused 403, guardrail": limited("openrouter_guardrail_budget", 403),
    "refused 403, workspace": limited("openrouter_workspace_budget", 403),
    **{
        f"429, retry after {wish}": refusing(429, headers={"Retry-After": wish})
        for wish in ("0", "0.01", "-1", "soon", "nan", "Fri, 01 Jan 2021 00:00:00 GMT")
    },
    "429, retry after, in its body": refusing(429, availability={"retry_after": 0.01}),
    "429, retry after for ever": refusing(429, headers={"Retry-After": "inf"}),
    "429, retry after a date": lambda answer: refusing(429, headers={"Retry-After": in_minutes(60)})(answer),
    "an error that is no object": lambda answer: answer.refuse(503, "out of order"),
    "a refusal in HTML": lambda answer: answer.whole(502, b"<h1>Bad gateway</h1>"),
}
TIME_OUTS: dict[str, Mode] = {
    **{f"timed out {status}": timing_out(status, named=True) for status in TIMED_OUT},
    **{f"timed out {status}, nameless": timing_out(status, named=False) for status in TIMED_OUT},
    "502 with an id": timing_out(502, named=True),
}
BROKEN: dict[str, Mode] = {
    "reset before headers": reset_before_headers(billed=False),
    "reset before headers, billed": reset_before_headers(billed=True),
    "reset after headers": reset_after_headers,
    "reset in the middle": reset_in_the_middle,
    "reset before usage": reset_before_usage,
    "reset before [DONE]": reset_before_done,
    "cut": cut,
    "ending early": ending_early,
    "ending in error": ending_in_error,
    **{f"breaking off, {code}": breaking_off(code) for code in (429, 502, "server_error", None)},
}
SLOW: dict[str, Mode] = {
    "slow headers": modes.slow_headers(0.05),
    "slow chunks": modes.slow(0.01, 6),
    "slow chunks, billed while heard": modes.slow(0.01, 6, bills_after_hang_up=False),
    "kept alive": modes.kept_alive(6, 0.02),
    "silent": silent(10),
    "silent, billed": silent(10, billed=True),
    "silent in the middle": silent_in_the_middle(10),
}
WRONG_USAGE: dict[str, Mode] = {
    **{
        f"cost {cost!r}": telling(cost=cost)
        for cost in (-1, None, "free", "", True, [], 1e30, 1e12, float("nan"), float("inf"), "1e999999999")
    },
    "cost left out": usage_without_cost,
    "no usage": modes.without_usage,
    **{f"usage {usage!r}": usage_of_another_kind(usage) for usage in ("many", 7, [], {})},
    "tokens that do not add up": telling(total_tokens=3, prompt_tokens_details={"cached_tokens": 99_999}),
    "negative tokens": telling(prompt_tokens=-1_000, completion_tokens=-50),
    "tokens as words": telling(prompt_tokens="1000", completion_tokens="some", total_tokens=None),
    "tokens without number": telling(prompt_tokens=1e300, completion_tokens=float("nan")),
    "details of another kind": telling(prompt_tokens_details="none", completion_tokens_details=[1], cost_details=3),
}
GARBAGE: dict[str, Mode] = {
    "half a chunk of JSON": saying(b'data: {"id": "gen-x", "choices": [{"del\n\n'),
    "invalid UTF-8": saying(b'data: {"choices": [{"delta": {"content": "\xff\xfe"}}]}\n\n'),
    "garbage": saying(b"\x00\x01\x02 teapot \x00\n\n", b"event: ping\nid: 3\n\n"),
    "data of another kind": saying(b'data: "hello"\n\n', b"data: [1, 2]\n\n", b'data: {"choices": {"a": 1}}\n\n'),
    "a webpage": webpage,
    "an error in one piece": error_in_one_piece,
    "comments only": comments_only,
    "an id repeated": repeating_an_id,
    "the answer twice": answering_twice,
    "more after the end": going_on_after_the_end,
}
FAULTS: dict[str, Mode] = {**REFUSALS, **TIME_OUTS, **BROKEN, **SLOW, **WRONG_USAGE, **GARBAGE}
