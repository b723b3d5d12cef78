"""How the provider takes a request when all is well, or at least as the contract has it."""

from decimal import Decimal

from tests.provider.answer import Answer, Mode


def plain(answer: Answer) -> None:
    answer.open()
    answer.comment()
    answer.text("Hel")
    answer.text("lo")
    answer.finish("stop")
    answer.usage()
    answer.done()


def costing(cost: str, **usage: object) -> Mode:
    """Answer at that price in dollars, with those fields of the usage in place of the usual ones."""

    def mode(answer: Answer) -> None:
        answer.cost = Decimal(cost)
        answer.open()
        answer.text("dear")
        answer.finish("stop")
        answer.usage(**usage)
        answer.done()

    return mode


def nameless(answer: Answer) -> None:
    """A plain server: no id in the headers, tokens but no cost."""
    answer.open(named=False)
    answer.charge(0)
    answer.text("plain")
    answer.finish("stop")
    answer.event({"choices": [], "usage": answer.usage_of()})
    answer.done()


def without_usage(answer: Answer) -> None:
    answer.open()
    answer.text("whole")
    answer.charge()
    answer.finish("stop")
    answer.done()


def slow(pause_s: float = 0.02, chunks: int = 500, *, bills_after_hang_up: bool = True) -> Mode:
    """One token after each pause. Billed from the first, or only as far as the client listens."""

    def mode(answer: Answer) -> None:
        answer.generation.bills_after_hang_up = bills_after_hang_up
        answer.open()
        answer.charge(1 if bills_after_hang_up else 0)
        for number in range(1, chunks + 1):
            answer.text("tick ")
            if not bills_after_hang_up:
                answer.charge(Decimal(number) / chunks)
            answer.wait(pause_s)
        answer.finish("stop")
        answer.usage()
        answer.done()

    return mode


def slow_headers(seconds: float) -> Mode:
    def mode(answer: Answer) -> None:
        answer.charge()
        answer.wait(seconds)
        plain(answer)

    return mode


def kept_alive(comments: int, pause_s: float) -> Mode:
    """Nothing but comments for long, then the answer."""

    def mode(answer: Answer) -> None:
        answer.open()
        answer.charge()
        for _ in range(comments):
            answer.comment()
            answer.wait(pause_s)
        answer.text("late")
        answer.finish("stop")
        answer.usage()
        answer.done()

    return mode


def calling_tools(answer: Answer) -> None:
    """Two calls whose pieces are interleaved; both have the same id, one has broken arguments."""
    pieces = [
        [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "view", "arguments": ""}}],
        [{"index": 1, "id": "call_1", "type": "function", "function": {"name": "run", "arguments": '{"comm'}}],
        [{"index": 0, "function": {"arguments": '{"path": "é'}}],
        [{"index": 0, "function": {"arguments": '.py"}'}}, {"index": 1, "function": {"arguments": "and"}}],
    ]
    answer.open()
    answer.text("I look.")
    for calls in pieces:
        answer.delta({"tool_calls": calls})
    answer.finish("tool_calls")
    answer.usage()
    answer.done()
