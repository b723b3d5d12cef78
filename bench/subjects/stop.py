"""From the stop button to the last request and the last closed stream.

Thirty runs listen to endless answers on the real cluster, then ``POST /api/v1/stop/`` with scope ``company`` goes to
the real web process. Measured from just before the POST, on the model server's side: when the last request arrived, and
when the last stream was closed by its client. Then all is resumed, until every run listens again, and once more.
"""

import json
import time
import urllib.request
from collections.abc import Iterator

from rest_framework_simplejwt.tokens import AccessToken

from bench import office
from bench.finding import Finding, Scale, Target
from bench.model import Manner
from budgets.models import Account, Hold
from mcc.core.models import User

QUIET_S = 3.0
ENDLESS_S, CHUNKS_PER_S = 120, 10


def measure(scale: Scale) -> Iterator[Finding]:
    office.need_sandbox()
    count, rounds = scale.of(3, 30, 100), scale.of(1, 5, 30)
    user = User.objects.create_superuser("bench", password=None)
    requests, streams, posts = [], [], []
    manner = Manner(latency_s=ENDLESS_S, chunks=ENDLESS_S * CHUNKS_PER_S)
    with office.model(manner) as model, office.cluster(), office.web() as port:
        agent = office.hire(model)
        for number in range(count):
            office.start(agent, number, stream=f"issue:{number}")
        for _ in range(rounds):
            office.until(lambda: _listening(model) >= count, 60)
            time.sleep(1)
            began, answered = _stop(port, user)
            posts.append((answered - began) / 1e6)
            time.sleep(QUIET_S)
            records = model.records(forget=True)
            closed = [record.hung_up for record in records]
            assert all(closed), f"{closed.count(0)} streams are open {QUIET_S} s after the stop"
            streams.append((max(closed) - began) / 1e6)
            requests.append(max(0.0, *((record.arrived - began) / 1e6 for record in records)))
            _call(port, user, "DELETE", "?scope=company")
    second = Target("at most", 1_000)
    note = f"{count} streams, {rounds} stops"
    yield Finding("stop to last closed stream", "ms", streams, second, note)
    yield Finding("stop to last request", "ms", requests, second, "0: none came after it")
    yield Finding("answer to the POST", "ms", posts)
    left = Hold.objects.filter(state=Hold.State.SENT).count()
    yield Finding("calls that nobody gave up", "holds", [left], None, "the sweeper settles the others")
    assert not Account.objects.filter(frozen_at__isnull=False).exists()


def _listening(model: office.Model) -> int:
    return sum(not record.hung_up and len(record.chunks) > 0 for record in model.records())


def _stop(port: int, user: User) -> tuple[int, int]:
    """Press the button. Return when it was pressed and when the answer was there."""
    began = time.monotonic_ns()
    _call(port, user, "POST", "", {"scope": "company", "reason": "bench"})
    return began, time.monotonic_ns()


def _call(port: int, user: User, method: str, query: str, body: dict[str, str] | None = None) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/v1/stop/{query}",
        method=method,
        data=json.dumps(body).encode() if body else None,
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {AccessToken.for_user(user)}"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        assert answer.status == 200, answer.status
