"""What stands around every page: where one can go, how the projects do, what was spent today, what waits, the stop.

Nothing is read before a template asks for it, so a fragment pays nothing for it.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db.models import Count
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from agents import supply
from agents.models import Run
from agents.supply import SuspendedProvider
from budgets import access, periods, queries
from budgets.models import Account, Limit
from budgets.services import accounts
from mcc.core import pages
from mcc.core.models import User
from projects import founding
from projects.models import Issue, Project, Request
from projects.services import pausing
from projects.services.account_rights import decides
from projects.services.pausing import Scope
from projects.stop_question import COMPANY, StopQuestion

PROJECTS_SHOWN = 30
ADMINISTRATORS = {"agents:models", "github:connections", "github:people"}
"""Places that only administrators see."""
PLACES = (
    # name of the URL, icon, label, label on small screens, keys
    ("projects:dashboard", "layout-dashboard", "Dashboard", "Home", "g d"),
    ("projects:inbox", "inbox", "Inbox", "Inbox", "g i"),
    ("projects:board", "kanban", "Board", "Board", "g b"),
    ("projects:pull_requests", "git-pull-request", "Pull requests", "", "g p"),
    ("agents:list", "bot", "Agents", "", "g a"),
    ("budgets:overview", "gauge", "Budget", "Budget", "g m"),
    ("agents:models", "layers", "Models", "", "g o"),
    ("github:connections", "link", "GitHub", "", "g h"),
    ("github:people", "users", "People", "", "g u"),
    ("analytics:overview", "chart-column", "Analytics", "", "g y"),
)


@dataclass(frozen=True)
class Place:
    """An entry of the navigation."""

    url: str
    icon: str
    label: str
    short: str
    key: str
    is_current: bool
    is_inbox: bool = False
    count: int = 0


@dataclass(frozen=True)
class ProjectState:
    """A project in one dot and one word."""

    url: str
    key: str
    name: str
    dot: str
    word: str
    is_current: bool


@dataclass(frozen=True)
class Today:
    spent_nanousd: int
    limit_nanousd: int | None


@dataclass(frozen=True)
class Command:
    """An entry of the command palette: a link, or a dialog that it opens."""

    id: str
    icon: str
    label: str
    url: str
    keys: tuple[str, ...] = ()
    opens: str = ""


@dataclass(frozen=True)
class CommandGroup:
    name: str
    commands: list[Command]


class Shell:
    """The frame of a page for one user. ``path`` is the page that it stands around."""

    def __init__(self, user: User, path: str) -> None:
        self.user = user
        self.path = path

    @cached_property
    def nav(self) -> list[Place]:
        """The places that exist here, in order."""
        places = []
        for name, icon, label, short, key in PLACES:
            if (name not in ADMINISTRATORS or self.user.is_superuser) and (url := _url(name)):
                inbox = name == "projects:inbox"
                places.append(
                    Place(url, icon, label, short, key, self._is_at(url), inbox, self.needs_you if inbox else 0)
                )
        return places

    @cached_property
    def tabs(self) -> list[Place]:
        """Those of the bar at the foot of small screens."""
        return [place for place in self.nav if place.short]

    def _is_at(self, url: str) -> bool:
        if url == _url("agents:models") and self.path.startswith(_url("agents:providers")):
            return True
        return self.path == url if url == "/" else self.path.startswith(url)

    @cached_property
    def needs_you(self) -> int:
        """How many open questions this user may answer."""
        return Request.objects.maintained_by(self.user).open().count()

    @cached_property
    def projects(self) -> list[ProjectState]:
        """The user's projects and what goes on in them. Three queries."""
        projects = list(Project.objects.visible_to(self.user).select_related("account")[:PROJECTS_SHOWN])
        charged = Run.accounts.through.objects.filter(account__in=[project.account_id for project in projects])
        working = dict(
            charged.filter(run__status=Run.Status.RUNNING).order_by().values_list("account").annotate(runs=Count("run"))
        )
        waiting = dict(
            Request.objects.open()
            .filter(project__in=projects)
            .order_by()
            .values_list("project")
            .annotate(requests=Count("pk"))
        )
        return [
            self._state(project, working.get(project.account_id, 0), waiting.get(project.pk, 0)) for project in projects
        ]

    def _state(self, project: Project, working: int, waiting: int) -> ProjectState:
        if project.account.is_frozen:
            dot, word = "paused", "paused"
        elif working:
            dot, word = "live", f"{working} agent{'s' if working > 1 else ''}"
        elif waiting:
            dot, word = "wait", "waiting"
        else:
            dot, word = "idle", ""
        url = _url("projects:project", key=project.key) or _url("projects:settings", key=project.key)
        return ProjectState(url, project.key, project.name, dot, word, f"/projects/{project.key}/" in self.path)

    @property
    def budgets_url(self) -> str:
        return _url("budgets:overview")

    @cached_property
    def working(self) -> int:
        """How many agents work at this moment, in the whole company."""
        return Run.objects.filter(status=Run.Status.RUNNING).count()

    @cached_property
    def _company(self) -> Account:
        return accounts.global_account()

    @cached_property
    def sees_company(self) -> bool:
        """Whether the reader may see what the company spends."""
        return access.sees_company(self.user)

    @cached_property
    def today(self) -> Today:
        """What the company spent today (in UTC), and its daily limit if it has one."""
        for standing in queries.standings(self._company):
            if standing.limit.period == Limit.Period.DAILY:
                return Today(standing.spent_nanousd, standing.amount_nanousd)
        return Today(queries.spent_nanousd(self._company, since=periods.today()), None)

    @cached_property
    def stopped(self) -> Account | None:
        """The company's account while the emergency stop is on."""
        return self._company if self._company.is_frozen else None

    @property
    def stop_question(self) -> StopQuestion:
        """What is asked before the emergency stop."""
        return StopQuestion(Scope(), COMPANY, self.working, self.today.spent_nanousd)

    @cached_property
    def suspended(self) -> list[SuspendedProvider]:
        """The providers of models that nobody can use until somebody puts something right."""
        return supply.suspended_providers()

    @property
    def may_supply(self) -> bool:
        return self.user.is_superuser

    @cached_property
    def may_stop(self) -> bool:
        """Whoever decides in some project may stop everything."""
        return decides(self.user)

    @cached_property
    def may_resume(self) -> bool:
        """Whether the reader may let the company go on, which is stopped."""
        return self.stopped is not None and self.may_stop and pausing.may_resume(self.user, self.stopped)

    @cached_property
    def may_create_project(self) -> bool:
        return bool(founding.ways_of(self.user))

    @cached_property
    def commands(self) -> list[CommandGroup]:
        """What the palette offers everywhere."""
        places = [
            Command(f"go-{index}", place.icon, place.label, place.url, tuple(place.key.upper().split()))
            for index, place in enumerate(self.nav)
        ]
        projects = [
            Command(f"project-{project.key}", "folder-kanban", project.name, project.url) for project in self.projects
        ]
        groups = [("Do", self._deeds()), ("Go to", places), ("Projects", projects)]
        return [CommandGroup(name, commands) for name, commands in groups if commands]

    def _deeds(self) -> list[Command]:
        deeds = []
        if url := _url("projects:issue_new"):
            deeds.append(Command("new-issue", "plus", "New issue", url, ("C",)))
        if self.may_create_project:
            deeds.append(Command("new-project", "folder-kanban", "New project", reverse("projects:new")))
        if self.may_stop:
            deeds.append(Command("stop", "octagon-x", "Stop all agents", reverse("stop"), opens="stop"))
        deeds += [
            Command("keys", "keyboard", "Show the keys", reverse("palette"), ("?",), opens="keys"),
            Command("account", "key-round", "Your account", reverse("github:account")),
            Command("log-out", "log-out", "Log out", reverse("account_logout")),
        ]
        return deeds


def shell(request: HttpRequest) -> dict[str, Any]:
    """Context of ``base.html``: ``shell`` for whoever is logged in."""
    user = getattr(request, "user", None)
    if not isinstance(user, User):
        return {}
    return {"shell": Shell(user, page_path(request))}


def page_path(request: HttpRequest) -> str:
    """Return the path of the page in the browser: for htmx' requests not their own."""
    htmx = getattr(request, "htmx", None)
    return ((htmx and htmx.current_url_abs_path) or request.path).partition("?")[0]


def issue_url(issue: Issue) -> str:
    return _url("projects:issue", key=issue.key)


def _url(name: str, **kwargs: str) -> str:
    """Return the address called ``name``, or "" where that page is not installed."""
    try:
        return pages.address(name, **kwargs)
    except NoReverseMatch:
        return ""
