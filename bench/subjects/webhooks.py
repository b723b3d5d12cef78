"""How quickly GitHub is answered: signed deliveries of 10 KB at one real daphne, 100 a second for 30 seconds.

Each delivery is sent when it is due, whether the ones before were answered or not, over connections that stay open. An
answer counts from when its delivery was due, so a queue that builds up is seen. Then as many as eight connections get
through one after the other. What was answered with 202 must be in the table, once.
"""

import hashlib
import hmac
import http.client
import json
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from bench import office
from bench.finding import Finding, Scale, Target, percentile
from githubsync.models import Connection, Delivery
from githubsync.services import webhooks
from mcc.core import garbage
from mcc.core.models import User

PER_S = 100
CONNECTIONS = 8
BODY = json.dumps({"action": "labeled", "issue": {"number": 7, "body": "x" * 10_000}}).encode()


class Sender:
    """Sends deliveries as GitHub does; each thread keeps a connection of its own open."""

    def __init__(self, port: int, path: str, secret: str) -> None:
        self._port, self._path = port, path
        self._signature = "sha256=" + hmac.new(secret.encode(), BODY, hashlib.sha256).hexdigest()
        self._own = threading.local()

    def send(self, due: float = 0.0) -> float:
        """Send one when it is due; return how many ms later it was answered. Raises when it is not accepted."""
        due = due or time.monotonic()
        time.sleep(max(0.0, due - time.monotonic()))
        if not hasattr(self._own, "line"):
            self._own.line = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        headers = {
            "Content-Type": "application/json",
            "X-GitHub-Event": "issues",
            "X-GitHub-Delivery": str(uuid.uuid4()),
            "X-Hub-Signature-256": self._signature,
        }
        self._own.line.request("POST", self._path, BODY, headers)
        answer = self._own.line.getresponse()
        said = answer.read()
        if answer.status != 202:
            raise RuntimeError(f"answered {answer.status}: {said[:200]!r}")
        return 1_000 * (time.monotonic() - due)


def measure(scale: Scale) -> Iterator[Finding]:
    seconds, rounds = scale.of(1, 30, 30), scale.of(1, 3, 5)
    owner = User.objects.create_superuser("bench", password=None)
    connection = Connection.objects.create(name="bench", owner=owner)
    secret = webhooks.rotate(connection, user=owner)
    garbage.spare_imports()  # or the sender pauses, and not who answers
    paced, per_s = [], []
    with office.web() as port, ThreadPoolExecutor(CONNECTIONS) as pool:
        sender = Sender(port, f"/webhooks/github/{connection.pk}/", secret)
        list(pool.map(lambda _: sender.send(), range(5 * CONNECTIONS)))  # warms everybody up
        for _ in range(rounds):
            begin = time.monotonic() + 0.1
            due = [begin + number / PER_S for number in range(seconds * PER_S)]
            paced.append(percentile(list(pool.map(sender.send, due)), 0.99))
            began = time.monotonic()
            count = len(list(pool.map(lambda _: sender.send(), due)))
            per_s.append(count / (time.monotonic() - began))
    sent = 5 * CONNECTIONS + 2 * rounds * seconds * PER_S
    note = f"{PER_S} a second for {seconds} s, {rounds} times"
    yield Finding("answer to a delivery, p99", "ms", paced, Target("at most", 50), note)
    yield Finding("deliveries answered", "/s", per_s, None, f"{CONNECTIONS} connections")
    yield Finding("accepted and not kept once", "", [sent - Delivery.objects.count()], Target("equal to", 0))
