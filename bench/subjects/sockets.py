"""From the token to the browser: 200 sockets on 30 streams of one real daphne.

Thirty runs on the real cluster listen to answers of ten tokens a second each; every run publishes on an issue of its
own, and 200 logged-in sockets hear one issue each. Measured for every token and every socket: from the moment the model
server sent the token until the first event that shows it was there (a fragment shows all that was said so far, so the
number of tokens in it tells which). The runner's flush interval of 0.1 s is in it, and so is everything else.
"""

import asyncio
from collections.abc import Iterator

from django.test import Client

from agents.models import Agent, Run
from bench import office
from bench.ears import Ear
from bench.finding import Finding, Scale, Target, percentile
from bench.model import CHUNK, Manner, Record
from mcc.core import live
from mcc.core.models import Event, User
from projects.tests import factories

PER_S = 10
WORD = CHUNK.strip()
PATIENCE_S = 30
"""For the last events to arrive."""


def measure(scale: Scale) -> Iterator[Finding]:
    office.need_sandbox()
    streams, sockets, seconds = scale.of(2, 30, 30), scale.of(6, 200, 200), scale.of(2, 20, 120)
    user = User.objects.create_superuser("bench", password=None)
    client = Client()
    client.force_login(user)
    cookie = f"sessionid={client.cookies['sessionid'].value}"
    project = factories.project()
    names = [f"issue:{factories.issue(project, start=False).pk}" for _ in range(streams)]
    manner = Manner(latency_s=seconds, chunks=seconds * PER_S, steps=1)
    with office.model(manner) as model, office.cluster(), office.web() as port:
        agent = office.hire(model)

        async def listen() -> list[Ear]:
            ears = [await Ear.open(port, names[number % streams], cookie) for number in range(sockets)]
            await asyncio.to_thread(_run_all, agent, names, seconds)
            last = await asyncio.to_thread(_last, names)
            for _ in range(PATIENCE_S * 10):
                if all(last[ear.stream] in ear.heard for ear in ears):
                    break
                await asyncio.sleep(0.1)
            for ear in ears:
                ear.close()
            return ears

        ears = asyncio.run(listen())
        records = model.records()
    events = {name: list(_shown(name, records)) for name in names}
    delays = [(ear.heard[seq] - sent) / 1e6 for ear in ears for seq, sent in events[ear.stream] if seq in ear.heard]
    wanted = sum(len(events[ear.stream]) for ear in ears)
    note = f"{sockets} sockets, {streams} streams of {PER_S} tokens/s, {len(delays):,} tokens received"
    yield Finding("token to browser, p99", "ms", [percentile(delays, 0.99)], Target("at most", 250), note)
    yield Finding("token to browser, p50", "ms", [percentile(delays, 0.5)])
    yield Finding("tokens that never came", "", [wanted - len(delays)], Target("equal to", 0))


def _run_all(agent: Agent, names: list[str], seconds: int) -> None:
    """Start a run on each stream and wait until all have ended: two answers each."""
    runs = [office.start(agent, number, stream=name) for number, name in enumerate(names)]
    office.until(lambda: office.is_over(*runs), 60 + 4 * seconds, pause_s=0.5)


def _last(names: list[str]) -> dict[str, int]:
    """Return the number of the last event of each stream."""
    return {name: live.position(name) for name in names}


def _shown(stream: str, records: list[Record]) -> Iterator[tuple[int, int]]:
    """Yield, for each token on ``stream`` that a delta showed, the number of the first event with it and its time."""
    sent = {(record.session, record.turn): record.chunks for record in records}
    run = Run.objects.get(stream=stream, agent__name="bench")
    shown = dict.fromkeys((turn for session, turn in sent if session == f"mcc-run-{run.pk}"), 0)
    deltas = Event.objects.filter(stream__name=stream, kind="delta").order_by("seq")
    for seq, data in deltas.values_list("seq", "data"):
        count = sum(text.count(WORD) for _, text, _ in data["blocks"])
        turn = data["step"]
        for token in range(shown[turn], count):
            yield seq, sent[f"mcc-run-{run.pk}", turn][token]
        shown[turn] = max(shown[turn], count)
