"""Two hundred runs at once in two worker processes.

200 runs with a desk each are started on the real cluster of two workers, spread over the five seconds that the model
takes for an answer, which it streams in ten chunks; every step carries out a command in a sandbox; everything is
journaled, metered and published on the stream of an issue. Measured: what passes between an answer's last byte and the
next request of the same run (p50, p95), the processor time that the workers and their commands take for a step, the
largest sum of the memory of the two workers, and whether all runs end well. The machine is shared with the model
server, so on two cores the processor time says more than the waiting.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import accumulate

from agents.models import Agent, Run
from bench import office
from bench.finding import Finding, Scale, Target, percentile
from bench.model import Manner, Record
from bench.subjects.overhead import gaps_ms

LATENCY_S, CHUNKS = 5.0, 10
WORKERS = 2


def measure(scale: Scale) -> Iterator[Finding]:
    office.need_sandbox()
    count, steps = scale.of(6, 200, 200), scale.of(2, 6, 30)
    latency_s = 0.5 if scale is Scale.QUICK else LATENCY_S
    manner = Manner(["echo step {n} && ls /usr | head -5"], steps, latency_s, CHUNKS)
    with office.model(manner) as model, office.cluster(WORKERS) as workers:
        agent = office.hire(model)
        began, used_s = time.monotonic(), sum(map(office.cpu_s, workers))
        runs = [_start(agent, number, began + number * latency_s / count) for number in range(count)]
        memory = _watch(runs, workers, limit_s=60 + 10 * steps * latency_s)
        took_s, used_s = time.monotonic() - began, sum(map(office.cpu_s, workers)) - used_s
        records = model.records()
    by_run: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_run[record.session].append(record)
    gaps = [gap for own in by_run.values() for gap in gaps_ms(own)]
    note = f"{count} runs, {steps} sandboxed steps each, {latency_s:g} s for an answer"
    yield Finding("runs that ended well", "runs", [len(by_run)], Target("equal to", count), note)
    yield Finding("runs at work at once", "runs", [_most_at_once(list(by_run.values()))], Target("equal to", count))
    yield Finding("step overhead, p95", "ms", [percentile(gaps, 0.95)], Target("at most", 250))
    yield Finding("step overhead, p50", "ms", [percentile(gaps, 0.5)])
    yield Finding("processor time of a step", "ms", [1_000 * used_s / len(gaps)], None, "workers and sandboxes")
    yield Finding("memory of both workers (Rss)", "MB", [max(rss for rss, _ in memory)], Target("at most", 300))
    yield Finding("the same, shared pages counted once (Pss)", "MB", [max(pss for _, pss in memory)])
    ideal_s = (steps + 1) * latency_s
    yield Finding("time until all had ended", "s", [took_s], None, f"{ideal_s:g} s are the model's")


def _watch(runs: list[Run], workers: list[int], limit_s: float) -> list[tuple[float, float]]:
    """Wait for the end of all runs; return what the workers held meanwhile, in all, as (Rss, Pss)."""
    memory: list[tuple[float, float]] = []

    def look() -> bool:
        memory.append((sum(map(office.rss_mb, workers)), sum(map(office.pss_mb, workers))))
        return office.is_over(*runs)

    office.until(look, limit_s, pause_s=0.5)
    return memory


def _start(agent: Agent, number: int, due: float) -> Run:
    time.sleep(max(0.0, due - time.monotonic()))
    return office.start(agent, number, stream=f"issue:{number}")


def _most_at_once(runs: list[list[Record]]) -> int:
    """Return the most runs that were between their first request and their last answer at one moment."""
    changes = [(min(record.arrived for record in own), 1) for own in runs]
    changes += [(max(record.done for record in own), -1) for own in runs]
    return max(accumulate(change for _, change in sorted(changes)))
