"""Who may approve here approves on GitHub: their vote on that very commit, where the project wants it so."""

from importlib import import_module

import pytest
from django.apps import apps
from django.core.cache import cache
from django.db import connection

from githubsync.models import Identity
from githubsync.services.hints import Kind
from githubsync.tests.test_linking import AtWork
from githubsync.tests.test_reconciling import by_person, issue, look
from githubsync.tests.test_reviews import dismiss, review, reviewer
from mcc.core.models import AuditEntry, Errand
from projects import workflow
from projects.models import Feedback, Membership, Project, PullRequest, Request, Task, TaskStatus, Vote
from projects.services import merging, proof, requests, scheduling
from projects.tests import factories

__all__ = ["issue"]

pytestmark = pytest.mark.django_db


@pytest.fixture
def pull(github, issue):
    """A pull request of a project that counts approvals on GitHub; its task is in review, and the Reviewer approved."""
    cache.clear()
    github.repo.private = False
    Project.objects.update(counts_forge_approvals=True)
    task = issue.tasks.get()
    for status in (TaskStatus.TESTING, TaskStatus.REVIEW):
        workflow.move_task(task, status)
    row = PullRequest.objects.select_related("project").get()
    for kind, role in ((Vote.Kind.TESTER, "tester"), (Vote.Kind.REVIEWER, "reviewer")):
        agent = row.project.team.get(role=role)
        vote = {"pull_request": row, "kind": kind, "verdict": "approve", "head_sha": row.head_sha}
        Vote.objects.create(agent=agent, **vote)
    return row


def known(github, token, role=Membership.Role.MAINTAINER, **fields):
    """Let whoever has ``token`` on GitHub be somebody here, with ``role`` in the project."""
    user = factories.user(**fields)
    Identity.objects.create(
        user=user, server=github.simulator.url, github_id=token.account.id, login=token.account.login
    )
    if role:
        Membership.objects.create(project=Project.objects.get(), user=user, role=role)
    return user


def approve(github, pull, who, **fields):
    return review(github, pull, who, "APPROVE", **{"body": "", **fields})


def see(pull):
    look(Kind.PULL, pull.number)
    scheduling.advance(pull.issue_id)


def stage():
    return Task.objects.get().status


def persons():
    return Vote.objects.filter(kind=Vote.Kind.PERSON)


def asked():
    return list(Request.objects.open().filter(kind=Request.Kind.MERGE))


def test_an_approval_is_the_vote_of_whoever_is_known_here_and_answers_the_question(github, pull, admin_client):
    user = known(github, bob := reviewer(github))
    scheduling.advance(pull.issue_id)
    assert (stage(), len(asked())) == ("review", 1)
    made = approve(github, pull, bob, body="Fine.<!-- so --> <script>alert(1)</script>")

    for _ in range(2):
        see(pull)

    [vote] = persons()
    assert (vote.user, vote.verdict, vote.head_sha, vote.author) == (user, "approve", pull.head_sha, "bob")
    assert (stage(), asked()) == ("merging", [])
    last = pull.task.transitions.last()
    assert (last.user, last.reason) == (user, "bob approved it on GitHub")
    assert AuditEntry.objects.get(action="projects.approve_at_forge").user == user
    html = admin_client.get(f"/projects/{pull.project.key}/pull-requests/{pull.number}/").content.decode()
    assert f"{user.name} approves on GitHub" in html
    assert f'/pull/{pull.number}#pullrequestreview-{made["id"]}" rel="noreferrer">GitHub</a> as bob' in html
    assert "<script>alert(1)" not in html
    told = admin_client.get(f"/api/v1/pull-requests/{pull.pk}/").json()["votes"][-1]
    assert (told["by"], told["at_forge"], told["author"], told["counts"]) == (user.name, True, "bob", True)


def test_given_early_it_is_there_when_everything_else_is(github, pull):
    Vote.objects.all().delete()
    known(github, bob := reviewer(github))
    approve(github, pull, bob)
    see(pull)
    assert stage() == "review"

    for kind in (Vote.Kind.TESTER, Vote.Kind.REVIEWER):
        agent = pull.project.team.get(role=kind)
        Vote.objects.create(pull_request=pull, kind=kind, verdict="approve", head_sha=pull.head_sha, agent=agent)
    scheduling.advance(pull.issue_id)

    assert (stage(), Request.objects.filter(kind=Request.Kind.MERGE).exists()) == ("merging", False)


@pytest.mark.parametrize("who", ["unknown", "viewer", "no member", "switched off", "elsewhere"])
def test_approvals_of_others_stay_what_they_are(github, pull, who):
    bob = reviewer(github)
    if who != "unknown":
        role = {"viewer": Membership.Role.VIEWER, "no member": None}.get(who, Membership.Role.OWNER)
        known(github, bob, role, is_active=who != "switched off")
    if who == "elsewhere":
        Identity.objects.update(server="https://github.example.org")
    approve(github, pull, bob)

    see(pull)

    assert (persons().exists(), stage(), len(asked())) == (False, "review", 1)


def test_where_the_project_does_not_want_it_so_it_is_shown_and_does_not_count(github, pull, admin_client):
    Project.objects.update(counts_forge_approvals=False)
    user = known(github, bob := reviewer(github))
    approve(github, pull, bob)

    see(pull)

    assert (stage(), len(asked())) == ("review", 1)
    assert "does not count here" in admin_client.get(f"/issues/{pull.issue.key}/checks/").content.decode()
    requests.answer(asked()[0], user=factories.user(is_superuser=True), choice="approve")
    scheduling.advance(pull.issue_id)
    assert (stage(), proof.standing(pull).person.user == user) == ("merging", False)


def test_of_another_commit_it_says_nothing_and_a_push_voids_it(github, pull):
    known(github, bob := reviewer(github))
    approve(github, pull, bob, commit_id=github.repo.bare.heads()["main"])
    see(pull)
    assert (persons().exists(), stage()) == (False, "review")

    approve(github, pull, bob)
    look(Kind.PULL, pull.number)
    PullRequest.objects.update(head_sha="f" * 40)
    scheduling.advance(pull.issue_id)

    assert (persons().count(), stage()) == (1, "review")


@pytest.mark.parametrize("how", ["dismissed", "changes"])
def test_taken_back_before_the_merge_it_counts_no_more_and_it_is_asked_again(github, pull, admin_client, how):
    user = known(github, bob := reviewer(github))
    scheduling.advance(pull.issue_id)
    made = approve(github, pull, bob)
    see(pull)
    assert stage() == "merging"

    if how == "dismissed":
        dismiss(github, pull, made, bob)
    else:
        review(github, pull, bob)
    look(Kind.PULL, pull.number)
    merging.carry_out(pull.pk, AtWork())
    pull.refresh_from_db()
    assert (pull.status, github.simulator.requests("PUT", "/merge")) == ("open", [])
    scheduling.advance(pull.issue_id)

    if how == "changes":
        assert stage() == "coding"
        return
    assert (stage(), len(asked())) == ("review", 1)
    assert "withdrawn: dismissed on GitHub" in admin_client.get(f"/issues/{pull.issue.key}/checks/").content.decode()
    [vote] = admin_client.get(f"/api/v1/pull-requests/{pull.pk}/").json()["votes"][2:]
    assert (vote["counts"], vote["withdrawn_at"] is not None) == (False, True)
    requests.answer(asked()[0], user=user, choice="approve")
    scheduling.advance(pull.issue_id)
    assert (stage(), proof.standing(pull).person.reference) == ("merging", "")
    assert Errand.objects.filter(kind=merging.ERRAND).exists()


def test_approved_anew_after_a_dismissal_it_counts_again(github, pull):
    known(github, bob := reviewer(github))
    dismiss(github, pull, approve(github, pull, bob), bob)
    see(pull)
    assert (persons().exists(), stage()) == (False, "review")

    approve(github, pull, bob)
    see(pull)

    assert (persons().count(), stage()) == (1, "merging")


def test_nobody_approves_on_github_what_somebody_sent_back_here(github, pull):
    known(github, bob := reviewer(github))
    other = factories.user(is_superuser=True)
    proof.cast(pull, Vote.Kind.PERSON, Vote.Verdict.REJECT, head_sha=pull.head_sha, user=other, summary="No.")
    approve(github, pull, bob)

    look(Kind.PULL, pull.number)
    assert proof.standing(pull).may_merge is False
    scheduling.advance(pull.issue_id)

    assert stage() == "coding"


def test_what_somebody_sends_back_here_in_the_moment_in_which_it_goes_to_the_merge_is_not_merged(github, pull):
    known(github, bob := reviewer(github))
    approve(github, pull, bob)
    see(pull)
    assert stage() == "merging"
    other = factories.user(is_superuser=True)
    proof.cast(pull, Vote.Kind.PERSON, Vote.Verdict.REJECT, head_sha=pull.head_sha, user=other, summary="No.")

    merging.carry_out(pull.pk, AtWork())
    assert github.simulator.requests("PUT", "/merge") == []
    scheduling.advance(pull.issue_id)

    assert stage() == "coding"


def test_who_approves_after_all_wants_no_changes_any_more(github, pull):
    known(github, bob := reviewer(github))
    review(github, pull, bob)
    look(Kind.PULL, pull.number)
    assert Feedback.objects.get().withdrawn_at is None

    approve(github, pull, bob)
    see(pull)

    assert (Feedback.objects.get().withdrawn_at is not None, stage()) == (True, "merging")


def test_what_was_mended_stays_seen_to_when_its_author_approves(github, pull):
    review(github, pull, bob := reviewer(github))
    see(pull)
    assert stage() == "coding"

    approve(github, pull, bob)
    see(pull)

    row = Feedback.objects.get()
    assert (row.round, row.withdrawn_at) == (1, None)


def turn(github, pull, base):
    """Let somebody with the right to turn ``pull`` to another branch do so, which the project works on from then on."""
    if base not in github.repo.bare.heads():
        github.repo.bare.point(f"refs/heads/{base}", github.repo.bare.heads()["main"])
    by_person(github, "PATCH", f"{{repo}}/pulls/{pull.number}", {"base": base}, "dan")
    Project.objects.update(default_branch=base)


@pytest.mark.parametrize("where", ["there", "here"])
def test_what_was_approved_for_one_branch_is_not_merged_into_another(github, pull, admin_client, where):
    user = known(github, bob := reviewer(github))
    if where == "there":
        approve(github, pull, bob)
    else:
        scheduling.advance(pull.issue_id)
        requests.answer(asked()[0], user=user, choice="approve")
    see(pull)
    assert (stage(), persons().get().base_branch) == ("merging", "main")

    turn(github, pull, "trunk")
    look(Kind.PULL, pull.number)
    merging.carry_out(pull.pk, AtWork())
    assert github.simulator.requests("PUT", "/merge") == []
    scheduling.advance(pull.issue_id)

    assert (stage(), [request.question.split("?")[0][-10:] for request in asked()]) == ("review", ["into trunk"])
    page = f"/projects/{pull.project.key}/pull-requests/{pull.number}/"
    shown = admin_client.get(page).content.decode()
    assert 'for a merge into <span class="mono">main</span>, not into <span class="mono">trunk</span>' in shown
    if where == "there":
        approve(github, pull, bob)
        see(pull)
    else:
        requests.answer(asked()[0], user=user, choice="approve")
        scheduling.advance(pull.issue_id)
    assert (stage(), proof.standing(pull).person.base_branch) == ("merging", "trunk")
    turn(github, pull, "main")
    see(pull)
    assert (stage(), proof.standing(pull).person.base_branch) == ("merging", "main"), "what was approved first"


def test_an_approval_that_is_heard_of_together_with_another_base_is_for_none(github, pull):
    known(github, bob := reviewer(github))
    approve(github, pull, bob)
    turn(github, pull, "trunk")

    see(pull)
    assert (persons().get().base_branch, stage()) == ("", "review")
    approve(github, pull, bob)
    see(pull)

    assert (persons().count(), stage()) == (2, "merging")


def test_an_answer_that_was_on_its_way_when_the_base_changed_is_about_the_branch_that_was_shown(github, pull):
    user = known(github, reviewer(github))
    scheduling.advance(pull.issue_id)
    turn(github, pull, "trunk")
    requests.answer(asked()[0], user=user, choice="approve")

    see(pull)

    assert (persons().get().counts, stage(), len(asked())) == (False, "review", 1)


def test_votes_and_open_questions_of_before_are_about_the_branch_that_they_were_about(github, pull):
    scheduling.advance(pull.issue_id)
    [question] = asked()
    first = f"merge:{pull.pk}:{pull.head_sha}"
    Request.objects.filter(pk=question.pk).update(key=first)
    vote = {"kind": "person", "verdict": "approve", "head_sha": pull.head_sha, "user": factories.user()}
    Vote.objects.create(pull_request=pull, **vote)
    migration = import_module("projects.migrations.0016_votes_on_a_base")

    migration.name_the_base(apps, connection.schema_editor())
    scheduling.advance(pull.issue_id)

    assert ([row.key for row in Request.objects.filter(kind="merge")], stage()) == ([question.key], "merging")
