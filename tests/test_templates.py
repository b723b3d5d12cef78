"""Every page that can be reached by links keeps the strict policy and is sound HTML. No browser needed."""

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urldefrag, urljoin, urlsplit

import pytest

from agents.models import Role
from budgets.services import accounts
from budgets.tests.factories import spend
from mcc.core.models import User
from mcc.core.money import nanousd
from projects.tests import factories

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"
START = ["/", "/agents/", "/budgets/", "/search/?q=want", "/stop/", "/styleguide/", "/projects/new/", "/agents/new/"]
START += [
    "/models/?state=all",
    "/providers/",
    "/providers/new/",
    "/connections/",
    "/connections/new/",
    "/projects/new/github/",
]
ELSEWHERE = ("/admin/", "/api/", "/static/", "/accounts/logout/", "/metrics")
MOST_PAGES = 200
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


class Page(HTMLParser):
    """What a page holds: problems with the policy, ids, links, elements left open."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.problems: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.problems += [
            f"<{tag} {name}={value!r}>" for name, value in attributes if is_banned(tag, name, value or "")
        ]
        if tag == "script" and not given.get("src"):
            self.problems.append("inline script")
        if tag in ("style", "iframe", "object", "embed"):
            self.problems.append(f"<{tag}>")
        if (
            any(name in ("hx-get", "hx-post") for name in given)
            and tag in ("a", "button")
            and not works_without(tag, given)
        ):
            self.problems.append(f"<{tag} hx-…> does nothing without JavaScript")
        if given.get("id"):
            self.ids.append(given["id"])
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        if not self.open or self.open[-1] != tag:
            self.problems.append(f"</{tag}> closes {self.open[-1:]}")
        if tag in self.open:
            while self.open.pop() != tag:
                pass


def is_banned(tag: str, name: str, value: str) -> bool:
    return (
        name == "style"
        or re.fullmatch(r"on\w+", name) is not None
        or name.startswith(("hx-on", "data-hx-on"))
        or (name.startswith("hx-") and value.strip().startswith(("js:", "javascript:")))
        or (name == "hx-trigger" and "[" in value)
        or name == "hx-swap-oob"
        or (name in ("href", "src", "action") and value.strip().lower().startswith(("javascript:", "data:")))
        or (name in ("src", "href") and tag != "a" and value.startswith(("http:", "https:", "//")))
    )


def works_without(tag: str, given: dict[str, str | None]) -> bool:
    """A link goes somewhere, a button belongs to a form."""
    return bool(given.get("href")) if tag == "a" else given.get("type") != "button"


@pytest.fixture
def company(db):
    """A project at work, with money spent, a limit, a stop and something that waits."""
    boss = User.objects.create_superuser("boss", password="x", first_name="Mara", last_name="Kessler")
    project = factories.project(owner=boss)
    issue = factories.planned(project, {"key": "one"}, {"key": "two", "depends_on": ["one"]}, title="Something wanted")
    coder = project.team.filter(role=Role.CODER).first()
    accounts.set_limit(accounts.global_account(), nanousd(25), period="daily")
    accounts.set_limit(project.account, nanousd(60), period="monthly")
    accounts.set_limit(coder.account, nanousd(8), period="daily", action="warn")
    kinds = [
        accounts.global_account(),
        accounts.agent_type_account("coder"),
        coder.account,
        issue.account,
        project.account,
    ]
    for cost in ("0.5", "1.25"):
        spend(*kinds, cost=nanousd(cost))
    accounts.freeze(coder.account, user=boss, reason='<b>"because"</b>')
    return boss


def crawl(client) -> dict[str, Page]:
    """Follow every link of the product from the start pages."""
    waiting, seen = [*START], {}
    while waiting and len(seen) < MOST_PAGES:
        address = waiting.pop(0)
        if address in seen:
            continue
        response = client.get(address)
        if address in START and response.status_code == 404:
            continue
        assert response.status_code in (200, 302), f"{address}: {response.status_code}"
        if response.status_code == 302 or not response["Content-Type"].startswith("text/html"):
            continue
        assert response["Content-Security-Policy"].startswith("default-src 'none'")
        seen[address] = Page(response.content.decode())
        if address == "/styleguide/":
            continue  # the links of its samples lead nowhere
        for link in seen[address].links:
            target = urldefrag(urljoin(address, link)).url
            if not urlsplit(link).netloc and not target.startswith(ELSEWHERE):
                waiting.append(target)
    return seen


def test_every_page_keeps_the_policy_and_is_sound(client, company):
    client.force_login(company)

    pages = crawl(client)

    assert len(pages) >= 20
    assert {address: page.problems for address, page in pages.items() if page.problems} == {}
    twice = {address: [name for name, n in Counter(page.ids).items() if n > 1] for address, page in pages.items()}
    assert {address: ids for address, ids in twice.items() if ids} == {}


@pytest.mark.parametrize(
    "address",
    [
        "/accounts/login/",
        "/accounts/password/reset/",
        "/accounts/password/reset/done/",
        "/accounts/signup/",
        "/nowhere/",
    ],
)
def test_pages_before_the_gate_keep_the_policy(client, db, address):
    response = client.get(address)

    assert response.status_code in (200, 302, 404)
    assert Page(response.content.decode()).problems == []


def test_fragments_keep_the_policy(client, company):
    client.force_login(company)

    for address in ["/agents/", "/shell/", "/search/?q=want"]:
        response = client.get(address, headers={"HX-Request": "true"})
        html = response.content.decode()
        assert "<html" not in html
        assert Page(html).problems == []


def test_pages_that_tell_of_errors_have_the_look(client, company):
    client.raise_request_exception = False
    client.force_login(company)

    page = client.get("/budgets/999999/")

    assert page.status_code == 404
    assert "Nothing here" in page.content.decode()


def test_no_template_holds_what_the_policy_forbids():
    banned = re.compile(
        r"""\sstyle=|<script(?![^>]*\ssrc=)|\son[a-z]+=|hx-on|hx-swap-oob|hx-trigger="[^"]*\[|=["']js:|\|safe\b"""
    )
    found = {
        str(path.relative_to(TEMPLATES)): match.group()
        for path in TEMPLATES.rglob("*.html")
        if (match := banned.search(path.read_text()))
    }

    assert found == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_theme_of_the_cookie_is_in_the_first_byte(client, company, theme):
    client.force_login(company)
    client.cookies["theme"] = theme

    assert f'<html lang="en" data-theme="{theme}">' in client.get("/budgets/").content.decode()


def test_a_strange_theme_is_the_systems(client, db):
    client.cookies["theme"] = '"><script>'

    assert 'data-theme="system"' in client.get("/accounts/login/").content.decode()


def test_the_theme_can_be_switched_without_javascript(client, db):
    response = client.post("/theme/", {"theme": "dark", "next": "/accounts/login/"})

    assert (response.status_code, response["Location"]) == (302, "/accounts/login/")
    assert response.cookies["theme"].value == "dark"
    assert client.post("/theme/", {"theme": "dark", "next": "https://evil.example/"})["Location"] == "/accounts/login/"
