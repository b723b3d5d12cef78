"""The parts of the look, each in every state, on one page for administrators."""

from typing import Any

from django import forms
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from agents.models import Role
from mcc.core import charts, graphs
from mcc.core.money import nanousd, usd_display
from mcc.samples import Samples
from projects.models import IssueStatus, TaskStatus
from projects.pull_lists import PullLine

DAYS = [f"{day} Nov" for day in range(12, 26)]
SOURCE = "def wait(seconds: float) -> None:\n    time.sleep(seconds)  # at least"
PATCH = """\
--- a/orbit/durations.py
+++ b/orbit/durations.py
@@ -40,4 +40,6 @@ def parse_duration(text: str) -> float:
     seconds = 0.0
-    for amount, unit in PARTS.findall(text):
-        seconds += float(amount)
+    for amount, unit in PARTS.findall(text.strip()):
+        seconds += float(amount) * UNITS[unit]
+    if not seconds and text.strip() != "0s":
+        raise ValueError(f"{text!r} is no duration")
     return seconds
"""


class SampleForm(forms.Form):
    """One field of each kind."""

    name = forms.CharField(help_text="Small letters and digits.")
    cost = forms.DecimalField(label="Budget in $", required=False)
    role = forms.ChoiceField(choices=Role.choices)
    text = forms.CharField(label="What is wanted", widget=forms.Textarea(attrs={"rows": 3}))
    start = forms.BooleanField(label="Start at once", required=False)


def page(request: HttpRequest) -> HttpResponse:
    if not request.user.is_superuser:
        raise Http404
    return render(request, "styleguide.html", _context(Samples(timezone.now())))


def _context(rows: Samples) -> dict[str, Any]:
    return {
        "person": rows.mara,
        "roles": Role.values,
        "dots": ["live", "wait", "paused", "idle"],
        "hues": ["", "ok", "warn", "bad", "info"],
        "issue_stages": [*IssueStatus],
        "task_stages": [*TaskStatus],
        "icons": ["layout-dashboard", "inbox", "kanban", "git-pull-request", "bot", "gauge", "octagon-x", "zap"],
        "empty_form": SampleForm(auto_id="id_empty_%s"),
        "wrong_form": SampleForm({"name": "", "cost": "", "role": "chef", "text": ""}, auto_id="id_wrong_%s"),
        "moments": [rows.ago(seconds=3), rows.ago(minutes=4), rows.ago(hours=7), rows.ago(days=30)],
        "standings": rows.standings(),
        "failing": rows.failing_models(),
        "stacked": charts.stacked(DAYS, _series(), dollars, title="Cost per day", limit=nanousd(25)),
        "lines": charts.lines(DAYS, _series()[:2], dollars, title="Cost of two projects"),
        "series": _series(),
        "values": [3, 5, 4, 8, 6, 9, 12],
        "graph": _graph(),
        "patch": PATCH,
        "source": SOURCE,
        "cards": rows.agent_cards(),
        "issue_lines": rows.issue_lines(),
        "pull": rows.pull,
        "pull_line": PullLine(rows.pull, rows.checks()[:1], rows.votes()),
        "checks": rows.checks(),
        "outside": rows.outside_checks(),
        "feedback": rows.feedback(),
        "votes": rows.votes(),
        "run_entry": rows.run_entry(),
        "requests": rows.requests(),
        "pages": Paginator(range(60), 20).page(2),
    }


def dollars(amount: float) -> str:
    return usd_display(round(amount))


def _series() -> list[charts.Series]:
    names = ("Architect", "Coder", "Tester", "Reviewer", "Orchestrator", "Other")
    return [
        charts.Series(name, f"x{index}", [nanousd(1) * ((index * 7 + day * 5) % 6) for day in range(len(DAYS))])
        for index, name in enumerate(names, start=1)
    ]


def _graph() -> str:
    tasks = (("units", "merged"), ("refuse", "coding"), ("docs", "pending"), ("release", "pending"))
    nodes = [graphs.Node(key, f"Task {key}", stage, stage, "#graph") for key, stage in tasks]
    edges = [("units", "refuse"), ("units", "docs"), ("refuse", "release"), ("docs", "release")]
    return graphs.graph(nodes, edges, title="Four tasks and what they wait for")
