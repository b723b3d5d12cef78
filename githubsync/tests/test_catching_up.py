"""What GitHub sent while nobody could hear it is got back from its list, over real HTTP."""

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone

from githubsync.models import Connection, Delivery, Repository, Webhook
from githubsync.services import catching_up, webhooks
from githubsync.simulator.hooks import Hook
from githubsync.tests import factories
from githubsync.tests.test_linking import AtWork
from githubsync.tests.test_polling import work
from mcc.core.errands import Later
from mcc.core.models import Errand
from projects.models import Issue
from projects.tests import factories as people

pytestmark = pytest.mark.django_db

NOBODY = "http://127.0.0.1:9"
"""Nobody listens at this port."""


@pytest.fixture(params=["token", "app"])
def line(request, github):
    """A linked repository whose webhook goes nowhere; the secret was set a while ago."""
    cache.clear()
    owner = people.user(is_superuser=True)
    if request.param == "app":
        row = factories.app_connection(github, owner=owner)
        [made] = github.simulator.world.apps.values()
        hook = made.hook
    else:
        row = factories.connection(github, owner=owner)
        github.token.permissions["repository_hooks"] = "read"
        hook = Hook(7, github.repo.id, False, "", ["*"])
        github.repo.hooks.append(hook)
    hook.url, hook.active = f"{NOBODY}/webhooks/github/{row.pk}/", True
    factories.linked_project(github, by=row)
    webhooks.rotate(row, user=owner)
    return hook


def ordered(github, title="It rains"):
    """Have an issue filed and labelled on GitHub, and wait until it was told to nobody."""
    made = github.made("{repo}/issues", {"title": title, "labels": ["mcc"]})
    github.simulator.courier.wait()
    return made["number"]


def catch_up(minutes=0):
    return catching_up.catch_up(Webhook.objects.get().pk, AtWork(), now=timezone.now() + timedelta(minutes=minutes))


def fetched(github):
    """Return how many deliveries were fetched so far."""
    return len([one for one in github.simulator.requests("GET", "/deliveries/") if one.status == 200])


def test_what_never_arrived_is_fetched_once_in_order_and_obeyed(github, line):
    ordered(github, "First")
    ordered(github, "Second")

    assert catch_up() is False
    work(Repository.objects.get())

    assert list(Issue.objects.order_by("pk").values_list("title", flat=True)) == ["First", "Second"]
    rows = Delivery.objects.order_by("pk")
    sent = [
        str(one.guid) for one in sorted(line.deliveries, key=lambda one: one.at) if one.event in ("issues", "label")
    ]
    assert [str(row.guid) for row in rows] == sent
    assert {(row.polled, row.status) for row in rows} == {(True, "done")}
    assert Webhook.objects.get().verified_at is None

    before = fetched(github)
    assert catch_up(minutes=11) is False
    assert fetched(github) == before == len(sent)


def test_what_arrived_is_not_fetched_and_is_counted_when_it_comes_again(github, line):
    ordered(github)
    late = next(one for one in line.deliveries if one.event == "issues")
    row = Webhook.objects.get()
    Delivery.objects.create(webhook=row, guid=late.guid, event="issues", body=b"{}", body_bytes=2, status="done")

    catch_up()

    assert fetched(github) == len([one for one in line.deliveries if one.event in ("issues", "label")]) - 1
    missed = Delivery.objects.filter(polled=True).earliest("pk")
    sent = next(one for one in line.deliveries if one.guid == str(missed.guid))
    line.secret, line.content_type = row.secret.reveal(), "json"
    headers, body = line.letter(sent.event, sent.guid, sent.payload)
    assert webhooks.answer(row.pk, {name.lower(): value for name, value in headers.items()}, body)[0] == 202
    missed.refresh_from_db()
    assert missed.times == 2


def test_more_than_fits_in_one_go_goes_on_where_it_ended(github, line, monkeypatch):
    monkeypatch.setattr(catching_up, "AT_ONCE", 2)
    monkeypatch.setattr(catching_up, "ASKED_AT_ONCE", 2)
    ordered(github)
    ordered(github)

    goes = 0
    with pytest.raises(Later):
        catching_up.work(Webhook.objects.get().pk, AtWork())
    while catch_up(minutes=goes):
        goes += 1
        assert goes < 10

    heard = {one.guid for one in line.deliveries if one.event in ("issues", "label")}
    assert {str(guid) for guid in Delivery.objects.values_list("guid", flat=True)} == heard
    assert fetched(github) == len(heard)


def test_a_failure_keeps_the_watermark_and_the_next_look_finds_it(github, line):
    ordered(github)
    github.simulator.fail(r"GET .*/deliveries/\d+", times=9)

    catch_up()
    assert (Delivery.objects.count(), Webhook.objects.get().caught_up_to) == (0, None)
    assert catch_up() is False, "not before ten minutes are over"
    github.simulator.faults.clear()
    catch_up(minutes=11)

    assert Delivery.objects.filter(event="issues").count() == 2
    assert Webhook.objects.get().caught_up_to is not None


@pytest.mark.parametrize("odd", [False, True], ids=["gone", "odd"])
def test_one_that_cannot_be_read_keeps_nobody_from_the_others(github, line, odd):
    ordered(github)
    if odd:
        github.simulator.fail(r"GET .*/deliveries/\d+", status=200)  # an answer without a request in it
    else:
        github.simulator.fail(r"GET .*/deliveries/\d+", status=404)
    sent = len([one for one in line.deliveries if one.event in ("issues", "label")])

    assert catch_up() is False

    assert Delivery.objects.count() == sent - 1
    assert Webhook.objects.get().caught_up_to is not None


def test_at_the_start_a_look_is_due_at_once_and_ordered_once(github, line):
    assert catch_up() is False
    ordered(github)
    assert catch_up() is False, "not before ten minutes are over"

    for _ in range(2):
        catching_up.begin()
    assert Errand.objects.filter(kind=catching_up.ERRAND).count() == 1
    catch_up()

    assert Delivery.objects.filter(event="issues").count() == 2


def test_a_look_is_ordered_only_where_somebody_set_a_secret_and_a_token_need_not_see_hooks(github, line):
    catching_up.sweep()
    github.token.permissions.pop("repository_hooks", None)
    ordered(github)
    if not Connection.objects.get().is_app:
        assert catch_up() is False
        assert (Delivery.objects.count(), fetched(github)) == (0, 0)
    Webhook.objects.update(secret_set_at=None, catch_up_at=None)
    assert catch_up() is False
    assert Webhook.objects.get().catch_up_at is None
