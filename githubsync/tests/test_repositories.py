"""A repository is renamed, moved, archived, deleted or closed to us: heard of by a delivery, or by asking."""

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone

from githubsync import access
from githubsync.models import Outgoing, Poll, Repository
from githubsync.services import outbox, polling, reconciling, repositories
from githubsync.services.hints import Kind
from githubsync.simulator import apps as simulated
from githubsync.tests import factories
from githubsync.tests.test_linking import AtWork
from githubsync.tests.test_reconciling import look
from mcc.core.models import Errand
from projects.forge import Forbidden, NotFound
from projects.git import Mirror
from projects.models import Project
from projects.services import news, pausing
from projects.services.pausing import Scope
from projects.tests import factories as people
from projects.tests.factories import planned

pytestmark = pytest.mark.django_db


@pytest.fixture
def row(github):
    cache.clear()
    factories.linked_project(github)
    return Repository.objects.get()


@pytest.fixture
def by_app(github):
    cache.clear()
    factories.linked_project(github, by=factories.app_connection(github))
    return Repository.objects.get()


def poll(row, minutes=0):
    polling.sweep()
    polling.poll(row.connection_id, AtWork(), now=timezone.now() + timedelta(minutes=minutes))


def heard(kind):
    """Hear of it in one of the two ways."""
    if kind == "polled":
        Poll.objects.update(next_at=timezone.now())
        poll(Repository.objects.get())
    else:
        look(Kind.CONNECTION if Repository.objects.get().connection.is_app else Kind.REPOSITORY)


def trouble():
    repository = Repository.objects.select_related("project__account").get()
    account = repository.project.account
    assert account.frozen_reason == repository.trouble
    return repository.trouble


HEARD = pytest.mark.parametrize("how", ["delivered", "polled"])


@HEARD
def test_a_renamed_repository_goes_on_under_its_new_name(github, row, how):
    heard(how)
    github.simulator.world.rename(github.repo, "globe")

    heard(how)

    row.refresh_from_db()
    assert (row.full_name, row.trouble) == ("ada/globe", "")
    assert Project.objects.get().repository == f"{github.simulator.url}/ada/globe"


@HEARD
def test_one_that_is_archived_pauses_its_project_until_it_is_back(github, row, how, admin_client):
    issue = planned(row.project)
    heard(how)
    github.repo.archived = True

    for _ in range(2):
        heard(how)

    assert trouble().startswith("ada/atlas is archived on GitHub, so nothing can be written there. ")
    for page in (f"/projects/{row.project.key}/", f"/issues/{issue.key}/", f"/projects/{row.project.key}/github/"):
        assert "Unarchive it, and work goes on" in admin_client.get(page).content.decode()
    github.repo.archived = False
    heard(how)
    assert trouble() == ""


def test_what_a_person_stops_meanwhile_stays_stopped_when_it_is_back(github, row):
    heard("polled")
    github.repo.archived = True
    heard("polled")
    boss = people.user(is_superuser=True)

    pausing.stop(Scope(row.project), user=boss, reason="Not today")
    github.repo.archived = False
    heard("polled")

    account = Project.objects.select_related("account").get().account
    assert (Repository.objects.get().trouble, account.frozen_reason) == ("", "Not today")
    assert account.freezes.get(thawed_at=None).user == boss


@HEARD
def test_one_that_is_deleted_pauses_its_project(github, row, how):
    heard(how)
    world = github.simulator.world
    gone = world.repos.pop(github.repo.id)

    heard(how)

    assert "was deleted on GitHub, or Ours sees it no more. Let its token in" in trouble()
    world.repos[gone.id] = gone
    heard(how)
    assert trouble() == ""


@HEARD
def test_one_that_may_only_be_read_any_more_pauses_its_project(github, row, how):
    github.repo.owner = github.simulator.world.account("eve")
    github.repo.collaborators[github.token.account.id] = "read"

    heard(how)

    assert trouble() == "Ours may read eve/atlas but not write to it. Give it that on GitHub, and work goes on"


@HEARD
def test_an_app_that_is_taken_out_suspended_and_let_in_again(github, by_app, how):
    heard(how)
    world = github.simulator.world
    [there] = world.installations.values()
    there.suspended_at = there.app.created_at
    heard(how)
    assert "The App is suspended for ada" in trouble()
    there.suspended_at = None
    heard(how)
    assert trouble() == ""

    simulated.uninstall(world, there)
    for _ in range(2):  # the first to be refused only drops the token
        heard(how)
    assert "Install the App there, and work goes on" in trouble()
    simulated.install(world, there.app, "ada")
    heard(how)
    assert trouble() == ""


def test_one_that_is_taken_out_of_the_apps_selection(github, by_app):
    look(Kind.CONNECTION)
    [there] = github.simulator.world.installations.values()
    there.repositories = frozenset()

    look(Kind.REPOSITORY)

    assert "Install the App there" in trouble()
    with pytest.raises(NotFound):
        access.to(by_app)
    there.repositories = None
    look(Kind.CONNECTION)
    assert trouble() == ""


def test_less_permission_for_the_app_is_seen_when_it_is_accepted(github, by_app):
    [there] = github.simulator.world.installations.values()
    there.permissions = {**there.permissions, "contents": "read"}

    look(Kind.CONNECTION)

    assert "may read ada/atlas but not write to it" in trouble()


def test_one_that_moves_to_another_account_goes_on_once_the_app_is_there(github, by_app):
    look(Kind.CONNECTION)
    world = github.simulator.world
    [there] = world.installations.values()
    github.repo.owner = world.account("acme")
    github.repo.collaborators.clear()
    look(Kind.REPOSITORY)
    assert "Install the App there" in trouble()

    simulated.install(world, there.app, "acme")
    look(Kind.CONNECTION)

    by_app.refresh_from_db()
    assert (trouble(), by_app.full_name, by_app.installation.account) == ("", "acme/atlas", "acme")


def test_a_pause_of_a_person_outlasts_the_trouble(github, row):
    boss = people.user(is_superuser=True)
    pausing.stop(Scope(row.project), user=boss, reason="holidays")
    github.repo.archived = True
    look(Kind.REPOSITORY)
    github.repo.archived = False
    look(Kind.REPOSITORY)

    account = Project.objects.get().account
    assert (account.is_frozen, account.frozen_reason, Repository.objects.get().trouble) == (True, "holidays", "")


def test_whoever_resumes_in_spite_of_it_is_not_stopped_again_for_the_same(github, row):
    github.repo.archived = True
    look(Kind.REPOSITORY)
    pausing.resume(Scope(row.project), user=people.user(is_superuser=True))

    look(Kind.REPOSITORY)

    assert not Project.objects.get().account.is_frozen


def test_what_is_to_be_said_there_waits(github, row):
    issue = planned(row.project)
    news.issue_changed(issue)
    github.repo.archived = True
    look(Kind.REPOSITORY)
    Errand.objects.all().delete()

    outbox.sweep()
    outbox.tell(issue.pk, AtWork())

    assert (Outgoing.objects.exists(), Errand.objects.exists()) == (True, False)
    github.repo.archived = False
    look(Kind.REPOSITORY)
    outbox.sweep()
    assert Errand.objects.get().kind == outbox.ERRAND


def test_another_default_branch_is_asked_about_and_followed_on_request(github, row, client):
    boss = people.user(is_superuser=True)
    client.force_login(boss)
    page = f"/projects/{row.project.key}/github/"
    github.commit({"new.txt": "1\n"}, "trunk")
    github.repo.default_branch = "trunk"
    look(Kind.REPOSITORY)
    assert Project.objects.get().default_branch == "main"
    assert "work here goes into main" in client.get(f"/projects/{row.project.key}/").content.decode()
    assert "default branch is trunk" in client.get(page).content.decode()

    client.post(f"{page}branch/", {"follow": ""})

    assert Project.objects.get().default_branch == "trunk"
    assert "default branch is trunk" not in client.get(page).content.decode()


def test_a_default_branch_that_somebody_leaves_aside_is_asked_about_no_more(github, row, client):
    client.force_login(people.user(is_superuser=True))
    github.commit({"new.txt": "1\n"}, "trunk")
    github.repo.default_branch = "trunk"
    look(Kind.REPOSITORY)

    client.post(f"/projects/{row.project.key}/github/branch/")
    look(Kind.REPOSITORY)

    assert Project.objects.get().default_branch == "main"
    assert "default branch" not in client.get(f"/projects/{row.project.key}/").content.decode()


def test_a_base_branch_that_is_gone_pauses_the_project_until_another_one_is_chosen(github, row):
    boss = people.user(is_superuser=True)
    github.commit({"new.txt": "1\n"}, "trunk")
    github.repo.default_branch = "trunk"
    github.repo.bare.git("update-ref", "-d", "refs/heads/main")
    look(Kind.REPOSITORY)
    assert "ada/atlas has no branch main any more" in trouble()

    row.refresh_from_db()
    repositories.decide_branch(row, follow=True, user=boss)
    reconciling.look_again(row.pk, AtWork())

    assert trouble() == ""


def test_a_push_to_the_base_branch_is_fetched_at_once(github, row):
    Repository.objects.update(cloned_at=timezone.now())
    sha = github.commit({"new.txt": "1\n"})

    look(Kind.BRANCH, "main")

    assert Mirror(row.project_id).branches()["main"] == sha


def test_a_push_that_nobody_delivered_is_fetched_by_the_next_poll(github, row):
    Repository.objects.update(cloned_at=timezone.now())
    poll(row)
    sha = github.commit({"new.txt": "1\n"})
    github.repo.pushed_at += timedelta(minutes=1)

    poll(row, minutes=2)

    assert Mirror(row.project_id).branches()["main"] == sha


def test_only_who_decides_may_have_it_looked_at(github, row, client):
    viewer = people.user()
    row.project.memberships.create(user=viewer, role="viewer")
    client.force_login(viewer)
    page = f"/projects/{row.project.key}/github/"

    assert {client.post(f"{page}{what}/").status_code for what in ("look", "branch")} == {403}
    client.force_login(people.user())
    assert client.post(f"{page}look/").status_code == 404
    assert not Errand.objects.filter(kind=repositories.ERRAND).exists()


def test_a_hint_about_a_thing_in_one_that_is_gone_finds_that_out(github, row):
    del github.simulator.world.repos[github.repo.id]

    with pytest.raises((NotFound, Forbidden)):
        look(Kind.ISSUE, 1)

    assert "was deleted on GitHub" in trouble()
