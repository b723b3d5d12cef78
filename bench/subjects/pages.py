"""Weight and speed of the main pages, as the real daphne serves them.

The demo company is seeded and the ledger has a few thousand usages. Weight: every script and style sheet that a page
names, fetched as a browser does (``Accept-Encoding: gzip``), counted as it comes over the wire. Speed: the page is
fetched again and again by one logged-in person; the time is from the request to the last byte on this machine.
"""

import gzip
import http.client
import re
import time
from collections.abc import Iterator

from django.test import Client
from django.urls import NoReverseMatch, reverse

from bench import office, usages
from bench.finding import Finding, Scale, Target, percentile
from mcc.core import seeding, staticfiles
from mcc.core.models import User
from projects.models import Issue
from projects.shell import issue_url

SCRIPT = re.compile(r"<script[^>]+src=\"([^\"]+)\"")
STYLE = re.compile(
    r"<link[^>]+rel=\"stylesheet\"[^>]+href=\"([^\"]+)\"|<link[^>]+href=\"([^\"]+)\"[^>]+rel=\"stylesheet\""
)
NAMES = ("dashboard", "projects:dashboard", "projects:board", "projects:inbox", "agents:list", "budgets:overview")
KB = 1_000


def measure(scale: Scale) -> Iterator[Finding]:
    repeats = scale.of(3, 40, 200)
    seeding.sow()
    usages.seed(scale.of(500, 5_000, 5_000))
    staticfiles.collect()
    user = User.objects.filter(is_superuser=True).first() or User.objects.create_superuser("bench", password=None)
    client = Client()
    client.force_login(user)
    headers = {"Cookie": f"sessionid={client.cookies['sessionid'].value}", "Accept-Encoding": "gzip"}
    with office.web() as port:
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        weights, times = {}, {}
        for path in dict.fromkeys(_paths()):
            status, body, wire = _get(line, path, headers)
            if status == 200:
                weights[path] = (*_weights(line, body, headers), wire)
                times[path] = [_timed_ms(line, path, headers) for _ in range(repeats)]
    for place, (what, limit) in enumerate((("JavaScript", 40), ("CSS", 15))):
        path = max(weights, key=lambda path: weights[path][place])
        note = f"{path} is the heaviest of {len(weights)} pages"
        yield Finding(what, "KB gz", [weights[path][place] / KB], Target("at most", limit), note)
    for path, took in times.items():
        note = f"p50; {weights[path][2] / KB:.0f} KB of HTML"
        yield Finding(f"{path}, p95", "ms", [percentile(took, 0.95)], None, f"{percentile(took, 0.5):.0f} {note}")


def _paths() -> Iterator[str]:
    """Yield the main pages that exist."""
    yield "/"
    for name in NAMES:
        try:
            yield reverse(name)
        except NoReverseMatch:
            continue
    if issue := Issue.objects.first():
        yield issue_url(issue)


def _get(line: http.client.HTTPConnection, path: str, headers: dict[str, str]) -> tuple[int, str, int]:
    """Return the status, the content, and how many bytes of it came over the wire."""
    line.request("GET", path, headers=headers)
    answer = line.getresponse()
    raw = answer.read()
    content = gzip.decompress(raw) if answer.headers.get("Content-Encoding") == "gzip" else raw
    return answer.status, content.decode(errors="replace"), len(raw)


def _weights(line: http.client.HTTPConnection, body: str, headers: dict[str, str]) -> tuple[int, int]:
    scripts = sum(_get(line, path, headers)[2] for path in dict.fromkeys(SCRIPT.findall(body)))
    styles = sum(_get(line, one or other, headers)[2] for one, other in dict.fromkeys(STYLE.findall(body)))
    return scripts, styles


def _timed_ms(line: http.client.HTTPConnection, path: str, headers: dict[str, str]) -> float:
    began = time.perf_counter()
    _get(line, path, headers)
    return 1_000 * (time.perf_counter() - began)
