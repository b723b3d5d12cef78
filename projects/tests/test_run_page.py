"""The page of one run."""

from datetime import timedelta

import pytest
from django.template.loader import render_to_string
from django.utils import timezone

from agents.models import Outcome, Provider, Run
from mcc.core.models import AuditEntry
from projects import conversation
from projects.models import Membership
from projects.tests import factories, talk

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("outcome", "words", "kind"),
    [
        (Outcome.SUBMITTED, "Submitted", "tag ok"),
        (Outcome.NO_CHANGE, "No Change", "tag"),
        (Outcome.LIMIT_STEPS, "Limit Steps", "tag bad"),
    ],
)
def test_the_head_of_a_finished_run_says_how_it_ended_and_after_how_many_steps(client, outcome, words, kind):
    issue = factories.planned()
    run = talk.run_on(issue, issue.tasks.get())
    for text in ("First.", "Second."):
        talk.answer(run, text)
    client.force_login(factories.user(is_superuser=True))
    assert 'class="ended"' not in client.get(f"/runs/{run.pk}/").content.decode()

    factories.finish(run, outcome)

    page = client.get(f"/runs/{run.pk}/").content.decode()
    head = page.partition(f'<header id="run-{run.pk}-head">')[2].partition("</header>")[0]
    assert f'<span class="ended"><span class="{kind}">{words}</span> 2 steps</span>' in head


@pytest.fixture
def owner():
    return factories.user()


@pytest.fixture
def resting(owner):
    """A run that waits for two hours, on an issue of ``owner``."""
    issue = factories.planned(factories.project(owner=owner))
    run = talk.run_on(issue, issue.tasks.get())
    Run.objects.filter(pk=run.pk).update(
        status="waiting",
        waits_for="provider",
        awaited=Provider.objects.create(name="acme <b>", kind="openrouter"),
        outcome_detail="acme answered 429: <i>slow down</i>",
        lease_until=timezone.now() + timedelta(hours=2),
        rested_s=7_200,
    )
    run.refresh_from_db()
    return run


def words_of(run):
    at, today = timezone.localtime(run.rests_until), timezone.localdate()
    when = f"{at:%H:%M %Z}" if at.date() == today else f"{at:%a %-d %b, %H:%M %Z}"
    return f"aits for acme &lt;b&gt; until {when}"


def test_every_page_says_for_whom_a_run_waits_and_until_when(client, owner, resting):
    client.force_login(owner)
    issue = resting.assignment.issue

    for address in (f"/runs/{resting.pk}/", f"/issues/{issue.key}/"):
        page = client.get(address).content.decode()
        assert f"<b>W{words_of(resting)}</b>: acme answered 429: &lt;i&gt;slow down&lt;/i&gt;" in page
        assert f'action="/runs/{resting.pk}/go-on/"' in page
    for address in ("/", f"/projects/{issue.project.key}/", "/agents/", f"/agents/{resting.agent.name}/"):
        assert f"w{words_of(resting)}" in client.get(address).content.decode()


def test_whoever_decides_there_lets_it_go_on_now(client, owner, resting):
    client.force_login(owner)
    issue = f"/issues/{resting.assignment.issue.key}/"

    assert client.post(f"/runs/{resting.pk}/go-on/", {"next": issue}).url == issue

    resting.refresh_from_db()
    assert (resting.status, resting.rested_s, resting.awaited) == ("queued", 0, None)
    assert AuditEntry.objects.get(action="projects.go_on").user == owner
    assert client.post(f"/runs/{resting.pk}/go-on/").url == f"/runs/{resting.pk}/"
    assert AuditEntry.objects.filter(action="projects.go_on").count() == 1
    assert "go-on" not in client.get(f"/runs/{resting.pk}/").content.decode()


def test_who_may_only_look_reads_why_and_finds_no_button(client, resting):
    viewer = factories.user()
    Membership.objects.create(project=resting.assignment.issue.project, user=viewer, role=Membership.Role.VIEWER)
    client.force_login(viewer)

    page = client.get(f"/runs/{resting.pk}/").content.decode()
    assert words_of(resting) in page
    assert "Go on now" not in page
    assert "Go on now" not in client.get(f"/runs/{resting.pk}/go-on/").content.decode()
    assert client.post(f"/runs/{resting.pk}/go-on/").status_code == 403

    client.force_login(factories.user())
    assert client.post(f"/runs/{resting.pk}/go-on/").status_code == 404
    resting.refresh_from_db()
    assert resting.status == "waiting"


def test_what_is_pushed_fetches_the_button_with_the_rights_of_whoever_looks(client, owner, resting):
    entry = conversation.entries_of([resting])[0]
    foot = render_to_string("projects/_run_foot.html", {"run": resting, "entry": entry})
    assert "Go on now" not in foot
    assert f'hx-get="/runs/{resting.pk}/go-on/" hx-trigger="load"' in foot

    client.force_login(owner)
    assert "Go on now" in client.get(f"/runs/{resting.pk}/go-on/").content.decode()


def test_a_run_of_no_project_goes_on_for_administrators(client, owner, resting):
    resting.accounts.clear()
    client.force_login(owner)
    assert client.post(f"/runs/{resting.pk}/go-on/").status_code == 403

    client.force_login(factories.user(is_superuser=True))
    assert client.post(f"/runs/{resting.pk}/go-on/").status_code == 302
    resting.refresh_from_db()
    assert resting.status == "queued"
