"""Sign in with GitHub: who was invited comes in, by number; nobody else does, whatever they bring back."""

import logging
import re
from html import unescape
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.test import Client as Browser

from githubsync.models import App, Connection, Identity, Invitation, SignIn
from githubsync.services import connections, invitations, ways_in
from githubsync.simulator import oauth
from githubsync.tests import factories
from githubsync.tests.tls import Authority, in_front_of
from mcc.core.errors import InvalidInput
from mcc.core.models import AuditEntry, User
from projects.models import Membership
from projects.tests import factories as company
from projects.tests.factories import user as person

pytestmark = pytest.mark.django_db
HOST = "testserver"


@pytest.fixture
def way(github) -> Connection:
    """A connection by a personal token, with an OAuth App by which people sign in, and nobody began before."""
    cache.clear()
    ours = factories.connection(github)
    client = oauth.register(github.simulator.world, f"http://{HOST}/accounts/github/{ours.pk}/back/")
    SignIn.objects.create(connection=ours, client_id=client.id, client_secret=client.secret)
    return ours


@pytest.fixture
def grace(github, way, admin_user) -> Invitation:
    """Grace is invited."""
    github.simulator.world.account("grace")
    return invitations.invite(way, "grace", by=admin_user)


def leave(browser: Browser, way: Connection, **given: str) -> str:
    """Press the button; return where on GitHub the browser goes."""
    answer = browser.post(f"/accounts/github/{way.pk}/", given)
    assert answer.status_code == 200, answer.content.decode()
    [address] = re.findall(r'http-equiv="refresh" content="0; url=([^"]+)"', answer.content.decode())
    return unescape(address)


def decide(address: str, login: str, *, verify: str | bool = True) -> str:
    """Agree on GitHub as ``login`` ("" cancels); return where the browser is sent back to."""
    answer = requests.post(address, data={"login": login}, allow_redirects=False, timeout=10, verify=verify)
    assert answer.status_code == 302, answer.text
    return answer.headers["Location"].removeprefix(f"http://{HOST}")


def sign_in(browser: Browser, way: Connection, login: str, **given: str):
    return browser.get(decide(leave(browser, way, **given), login))


def whose(browser: Browser) -> str:
    """Return who is logged in, "" for nobody."""
    pk = browser.session.get("_auth_user_id")
    return User.objects.get(pk=pk).username if pk else ""


def test_the_login_page_offers_it_once_it_is_set_up(github, admin_client):
    assert "Sign in with" not in Browser().get("/accounts/login/").content.decode()
    ours = factories.connection(github)
    given = {"client_id": "Ov23", "client_secret": "secret-of-the-client"}
    admin_client.post(f"/connections/{ours.pk}/sign-in/", given)
    page = admin_client.get(f"/connections/{ours.pk}/").content.decode()

    assert (
        f"Sign in with GitHub at {urlsplit(github.simulator.url).netloc}"
        in Browser().get("/accounts/login/").content.decode()
    )
    assert "secret-of-the-client" not in page
    assert str(SignIn.objects.get().client_secret) == "(set)"
    admin_client.post(f"/connections/{ours.pk}/sign-in/withdraw/")
    assert "Sign in with" not in Browser().get("/accounts/login/").content.decode()
    assert Browser().post(f"/accounts/github/{ours.pk}/").status_code == 404


def test_who_is_invited_comes_in_with_an_account_of_their_own(client, github, way, grace, caplog):
    caplog.set_level(logging.DEBUG)
    address = leave(client, way, next="/agents/")
    asked = dict(parse_qsl(urlsplit(address).query))
    back = decide(address, "grace")
    answer = client.get(back)

    user = User.objects.get(username="grace")
    assert (answer.status_code, answer.headers["Location"], whose(client)) == (302, "/agents/", "grace")
    assert (user.email, user.has_usable_password()) == ("grace@example.org", False)
    assert (user.is_superuser, user.is_staff) == (False, False)
    assert (asked["code_challenge_method"], len(asked["state"]) > 40, asked["scope"]) == ("S256", True, "user:email")
    known = Identity.objects.get()
    assert (known.user, known.github_id, known.server) == (user, grace.github_id, github.simulator.url)
    assert not Invitation.objects.exists()
    assert AuditEntry.objects.filter(action="github.accept_invitation").count() == 1
    code = dict(parse_qsl(urlsplit(back).query))["code"]
    secrets = [SignIn.objects.get().client_secret.reveal(), code, "gho_"]
    assert [secret for secret in secrets if secret in caplog.text] == []


@pytest.fixture
def at_an_enterprise(github, way, tmp_path):
    """The connection goes to a server with an authority that nobody else knows."""
    ours, other = (Authority.made(tmp_path, name) for name in ("ours", "other"))
    with in_front_of(urlsplit(github.simulator.url).port, ours.server(tmp_path)) as port:
        Connection.objects.update(api_url=f"https://127.0.0.1:{port}/api/v3", ca_file=str(ours.certificate))
        way.refresh_from_db()
        yield {"ours": str(ours.certificate), "other": str(other.certificate), "none": ""}


@pytest.mark.parametrize("authority", ["ours", "other", "none"])
def test_a_server_with_an_authority_of_its_own_is_believed_by_its_file_only(
    client, github, way, at_an_enterprise, admin_user, authority
):
    github.simulator.world.account("grace")
    invitations.invite(way, "grace", by=admin_user)
    back = decide(leave(client, way), "grace", verify=at_an_enterprise["ours"])
    Connection.objects.update(ca_file=at_an_enterprise[authority])

    answer = client.get(back)

    if authority == "ours":
        assert (answer.status_code, whose(client)) == (302, "grace")
    else:
        assert (answer.status_code, whose(client)) == (403, "")
        assert "GitHub could not be reached: SSLError." in answer.content.decode()
        assert Invitation.objects.exists(), "the next try counts"


def test_what_a_netrc_of_this_machine_says_goes_nowhere(client, github, way, grace, tmp_path, monkeypatch):
    (netrc := tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))

    assert sign_in(client, way, "grace").status_code == 302

    assert whose(client) == "grace"


def test_a_stranger_who_begins_again_and_again_has_to_wait_and_leaves_no_more_sessions(github, way, client):
    for _ in range(10):
        leave(Browser(), way)
    kept = Session.objects.count()

    answers = [
        Browser().post(f"/accounts/github/{way.pk}/", headers={"x-forwarded-for": f"10.0.0.{n}"}) for n in (1, 2)
    ]

    assert [answer.status_code for answer in answers] == [429, 429]
    assert "Wait a minute, then try again." in answers[0].content.decode()
    assert Session.objects.count() == kept
    assert Browser(REMOTE_ADDR="192.0.2.7").post(f"/accounts/github/{way.pk}/").status_code == 200
    client.force_login(person())
    assert leave(client, way), "who is in is no stranger"


def test_behind_a_proxy_of_ours_it_is_the_address_before_it_that_counts(way, settings):
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    for last, expected in ((1, 200), (2, 200), (1, 429)):
        sent = {"x-forwarded-for": f"203.0.113.99, 192.0.2.{last}"}
        answers = [Browser().post(f"/accounts/github/{way.pk}/", headers=sent) for _ in range(10)]
        assert {answer.status_code for answer in answers} == {expected}


def test_who_is_known_comes_in_again_under_another_name(client, github, way, grace):
    sign_in(client, way, "grace")
    world = github.simulator.world
    with world.lock:
        world.accounts["hopper"] = world.accounts.pop("grace")
        world.accounts["hopper"].login = "hopper"
        world.account("grace")  # somebody else took the name
    again, other = Browser(), Browser()

    sign_in(again, way, "hopper")
    refused = sign_in(other, way, "grace")

    assert (whose(again), whose(other), refused.status_code) == ("grace", "", 403)
    assert [(row.login, row.user.username) for row in Identity.objects.all()] == [("hopper", "grace")]


def test_a_stranger_is_told_so_and_nothing_is_made(client, github, way):
    User.objects.create_user("eve", email="eve@example.org")
    github.simulator.world.account("eve")
    answer = sign_in(client, way, "eve")
    page = answer.content.decode()

    assert (answer.status_code, whose(client)) == (403, "")
    assert "You are not invited yet" in page and "<b>@eve</b>" in page
    assert (Identity.objects.count(), User.objects.filter(username__startswith="eve").count()) == (0, 1)
    assert not any(value.startswith("gho_") for value in github.simulator.world.tokens)


def test_an_account_here_is_never_taken_over_by_name_or_address(client, way, grace):
    mine = User.objects.create_user("Grace", email="GRACE@example.org")
    sign_in(client, way, "grace")

    assert whose(client) == "grace-1"
    assert (User.objects.get(username="grace-1").email, Identity.objects.filter(user=mine).exists()) == ("", False)


def test_an_answer_counts_once_in_the_session_that_asked_and_at_its_own_address(client, github, way, grace):
    back = decide(leave(client, way), "grace")
    stolen = Browser().get(back)
    forged = Browser()
    leave(forged, way)
    wrong = forged.get(re.sub("state=[^&]+", "state=forged", back))
    other = factories.connection(github, name="Other")
    SignIn.objects.create(connection=other, client_id="x", client_secret="y")
    mixed = client.get(back.replace(f"/{way.pk}/back/", f"/{other.pk}/back/"))
    late = client.get(back)  # the wrong address has used the state up

    assert [answer.status_code for answer in (stolen, wrong, mixed, late)] == [403] * 4
    assert not Identity.objects.exists()
    assert github.simulator.requests("POST", "/access_token") == []


def test_who_cancels_is_told_so(client, way, grace):
    answer = sign_in(client, way, "")

    assert (answer.status_code, whose(client)) == (403, "")
    assert "You did not let Mission Control know" in answer.content.decode()
    assert Invitation.objects.exists()


def test_a_code_that_is_too_old_and_an_answer_that_is_too_late_are_refused(client, github, way, grace):
    first = decide(leave(client, way), "grace")
    github.simulator.world.oauth.codes.clear()
    old = client.get(first)
    second = decide(leave(client, way), "grace")
    session = client.session
    session["github_sign_in_states"] = {
        state: {**one, "at": one["at"] - 601} for state, one in session["github_sign_in_states"].items()
    }
    session.save()
    late = client.get(second)

    assert "works once, for ten minutes" in old.content.decode()
    assert "not asked for here" in late.content.decode()
    assert not Identity.objects.exists()


def test_two_clicks_do_no_harm(client, way, grace):
    first, second = leave(client, way), leave(client, way)
    one, two = decide(first, "grace"), decide(second, "grace")
    answers = [client.get(two), client.get(two), client.get(one)]

    assert [answer.status_code for answer in answers] == [302, 302, 302]
    assert (whose(client), Identity.objects.count(), User.objects.filter(username__startswith="grace").count()) == (
        "grace",
        1,
        1,
    )


def test_whoever_is_switched_off_stays_out(client, way, grace):
    sign_in(client, way, "grace")
    User.objects.filter(username="grace").update(is_active=False)
    again = Browser()
    answer = sign_in(again, way, "grace")

    assert (answer.status_code, whose(again)) == (403, "")
    assert "switched off" in answer.content.decode()


def test_an_account_is_connected_by_whoever_is_logged_in_and_signs_them_in_from_then_on(client, github, way):
    mine = User.objects.create_user("ada", password="long enough for once")
    client.force_login(mine)
    shown = client.get("/account/").content.decode()
    answer = sign_in(client, way, "ada")
    page = client.get("/account/").content.decode()
    fresh = Browser()
    sign_in(fresh, way, "ada")

    assert "Not connected" in shown and "Connected as @ada" in page
    assert (answer.headers["Location"], whose(fresh)) == ("/account/", "ada")
    other = Browser()
    other.force_login(User.objects.create_user("bob"))
    refused = sign_in(other, way, "ada")
    assert (refused.status_code, "somebody else" in refused.content.decode()) == (403, True)
    client.post(f"/account/github/{Identity.objects.get().pk}/disconnect/")
    assert sign_in(Browser(), way, "ada").status_code == 403


def test_nobody_disconnects_somebody_else_or_their_own_only_way_in(client, way, grace):
    sign_in(client, way, "grace")
    known = Identity.objects.get()
    stranger = Browser()
    stranger.force_login(person())

    client.post(f"/account/github/{known.pk}/disconnect/")
    assert stranger.post(f"/account/github/{known.pk}/disconnect/").status_code == 404
    assert Identity.objects.exists()


def test_an_invitation_may_be_for_an_account_that_is_here(client, github, way, admin_user):
    mine = User.objects.create_user("grace.h", email="other@example.org")
    github.simulator.world.account("grace")
    invitations.invite(way, "grace", by=admin_user, user=mine)
    sign_in(client, way, "grace")

    assert (whose(client), User.objects.filter(username="grace").exists()) == ("grace.h", False)


def test_an_invitation_names_projects_and_who_is_a_member_already_keeps_their_role(client, admin_client, github, way):
    one, other = company.project(), company.project()
    mine = User.objects.create_user("grace.h")
    Membership.objects.create(project=other, user=mine, role=Membership.Role.OWNER)
    github.simulator.world.account("grace")
    given = {"connection": way.pk, "login": "grace", "user": mine.pk, "role": "viewer"}
    for projects in ([other.pk], [one.pk, other.pk]):
        assert admin_client.post("/people/", {**given, "projects": projects}).status_code == 302
    shown = admin_client.get("/people/").content.decode()
    assert f"viewer of {one.key}, {other.key}" in shown

    sign_in(client, way, "grace")

    assert dict(mine.memberships.values_list("project__key", "role")) == {one.key: "viewer", other.key: "owner"}
    assert client.get(f"/projects/{one.key}/").status_code == 200
    assert not Invitation.objects.exists()


def test_administrators_invite_by_name_and_the_number_is_kept(admin_client, github, way):
    number = github.simulator.world.account("grace").id
    github.simulator.world.account("mcc[bot]", "Bot")
    given = {"connection": way.pk, "login": " @grace "}
    assert admin_client.post("/people/", given).status_code == 302
    by_number = admin_client.post("/people/", {**given, "login": str(number)})
    nobody = admin_client.post("/people/", {**given, "login": "nobody-there"})
    wrong = admin_client.post("/people/", {**given, "login": "../x"})

    invited = Invitation.objects.get()
    assert (invited.github_id, invited.login, by_number.status_code) == (number, "grace", 302)
    assert (nobody.status_code, "There is no nobody-there" in nobody.content.decode()) == (422, True)
    assert wrong.status_code == 422
    assert "@grace" in admin_client.get("/people/").content.decode()
    admin_client.post(f"/people/invitations/{invited.pk}/withdraw/")
    assert not Invitation.objects.exists()
    assert sign_in(Browser(), way, "grace").status_code == 403


def test_only_administrators_see_people_and_set_it_up(client, github, way, grace):
    client.force_login(person())
    posts = [
        "/people/",
        f"/people/invitations/{grace.pk}/withdraw/",
        f"/connections/{way.pk}/sign-in/",
        f"/connections/{way.pk}/sign-in/withdraw/",
    ]

    assert [client.post(address).status_code for address in posts] == [403] * 4
    assert client.get("/people/").status_code == 403
    assert Browser().get("/account/").status_code == 302


def test_an_app_that_is_made_here_offers_it_at_once(client, github, admin_client, settings):
    given = {"name": "Ours", "organization": "", "audience": "administrators", "ca_file": ""}
    given["api_url"] = github.simulator.api_url
    page = admin_client.post("/connections/new/app/", given).headers["Location"]
    text = admin_client.get(page).content.decode()
    [target] = re.findall(r'<form class="acts then" method="post" action="([^"]+)"', text)
    [manifest] = re.findall(r'name="manifest" value="([^"]+)"', text)
    made = requests.post(unescape(target), data={"manifest": unescape(manifest)}, allow_redirects=False, timeout=10)
    install = admin_client.get(made.headers["Location"].removeprefix(f"http://{HOST}")).headers["Location"]
    requests.get(install, allow_redirects=False, timeout=10)
    Connection.objects.update(write_interval_ms=0)
    admin_client.get(f"{page}installed/")
    github.simulator.world.account("grace")
    ours = Connection.objects.get()
    assert admin_client.post("/people/", {"connection": ours.pk, "login": "grace"}).status_code == 302
    sign_in(client, ours, "grace")

    assert (App.objects.get().client_id.startswith("Iv1."), whose(client)) == (True, "grace")
    assert User.objects.get(username="grace").email == ""  # an App is not told addresses, unless it asks for that


def test_a_client_is_for_the_server_it_was_entered_for(github, way, admin_user):
    connections.change(way, user=admin_user, api_url="https://github.example.org/api/v3", token="another")

    assert ways_in.offered() == []
    assert not SignIn.objects.exists()


def test_what_is_no_client_is_refused(admin_client, admin_user, github):
    ours = factories.connection(github)
    with pytest.raises(InvalidInput):
        ways_in.offer(ours, user=admin_user, client_id="two words", client_secret="x")
    assert admin_client.post(f"/connections/{ours.pk}/sign-in/", {"client_id": ""}).status_code == 422


def test_a_github_that_fails_lets_nobody_in(client, github, way, grace):
    back = decide(leave(client, way), "grace")
    github.simulator.fail("POST /login/oauth/access_token", status=502)
    answer = client.get(back)

    assert (answer.status_code, whose(client)) == (403, "")
    assert "GitHub could not be reached" in answer.content.decode() or "GitHub answered 502" in answer.content.decode()
