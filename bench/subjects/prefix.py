"""How much of a prompt stays as it was from call to call: what a provider's cache of prefixes can serve.

The model server keeps the prompts of a run of many steps (tools first, then the messages, each serialised). Measured:
of the bytes of each prompt, how many are again the beginning of the next; and of all bytes sent, how many a cache that
remembers the prompt before could have read. The same for a run whose window is so small that its middle is condensed
again and again, the calls that write the notes included, and for mini-swe-agent, for comparison.
"""

from collections.abc import Iterator
from itertools import pairwise

from agents.condensing import ORDER
from agents.models import Run
from bench import office
from bench.finding import Finding, Scale, Skipped, Target
from bench.model import Manner, Record
from bench.peers import installing
from bench.subjects import overhead

SMALL_WINDOW_TOKENS = 5_000


def measure(scale: Scale) -> Iterator[Finding]:
    office.need_sandbox()
    steps = scale.of(4, 60, 100)
    manner = overhead.manner(steps, keeps_prompts=True)
    with office.model(manner) as model, office.cluster():
        ours, _ = _of_a_run(model, "bench")
        try:
            theirs = _prompts(overhead.of_mini(model, installing.python_of(installing.MINI), overhead.LOCAL, False))
        except Skipped:
            theirs = []
    noting = Manner(manner.commands, steps, keeps_prompts=True, asks_for_notes=ORDER[-60:])
    with office.model(noting) as model, office.cluster():
        condensed, run = _of_a_run(model, "small", SMALL_WINDOW_TOKENS)
    times = run.conversation.condensations.count()
    kept, served = _shares(ours)
    yield Finding("prompt kept for the next call", "%", [kept], Target("at least", 95), f"{steps} steps")
    yield Finding("sent bytes that a cache can serve", "%", [served])
    kept, served = _shares(condensed)
    yield Finding("condensed: prompt kept for the next call", "%", [kept], None, f"{times} times in {steps} steps")
    yield Finding("condensed: sent bytes that a cache can serve", "%", [served])
    if theirs:
        yield Finding(
            "mini-swe-agent: sent bytes that a cache can serve", "%", [_shares(theirs)[1]], None, "for comparison"
        )


def _of_a_run(model: office.Model, name: str, window_tokens: int = 0) -> tuple[list[bytes], Run]:
    """Let an agent carry out the commands; return the prompts of its run in order, and the run."""
    run = office.start(office.hire(model, name, window_tokens), 0, stream="issue:1")
    office.until(lambda: office.is_over(run), 240)
    return _prompts(model.records(forget=True)), run


def _prompts(records: list[Record]) -> list[bytes]:
    return ["\n".join(record.prompt).encode() for record in sorted(records, key=lambda record: record.arrived)]


def _shares(prompts: list[bytes]) -> tuple[float, float]:
    """Return, in percent, what is kept of the earlier and what is old of the later of two prompts, over all pairs."""
    common = sum(_common(*pair) for pair in pairwise(prompts))
    return 100 * common / sum(map(len, prompts[:-1])), 100 * common / sum(map(len, prompts[1:]))


def _common(one: bytes, other: bytes) -> int:
    """Return the length of the beginning that two texts share."""
    return next(
        (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
