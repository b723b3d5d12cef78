"""GitHub's web flow as the simulator speaks it: what works once, what is refused, and in which words."""

import base64
import hashlib
from datetime import timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
import requests

from githubsync.simulator import apps, oauth
from githubsync.simulator.clients import Client
from githubsync.simulator.things import now

HOME = "https://mcc.example.org/back/"
VERIFIER = "v" * 50
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture
def plain(github) -> Client:
    """An OAuth App, whose tokens do not end."""
    return oauth.register(github.simulator.world, HOME)


@pytest.fixture
def app(github) -> Client:
    """A GitHub App, whose tokens end after eight hours."""
    manifest = {"name": "Ours", "url": HOME, "callback_urls": [HOME], "default_permissions": {"contents": "write"}}
    made, _ = apps.create(github.simulator.world, "ada", manifest)
    apps.install(github.simulator.world, made, "ada")
    return oauth.client_of(github.simulator.world, made.client_id)


def authorize(github, client: Client, login: str = "ada", **asked: str) -> dict[str, str]:
    """Decide as ``login`` ("" cancels); return what the browser brings back."""
    query = {"client_id": client.id, "redirect_uri": HOME, "state": "s", **asked}
    url = f"{github.simulator.url}/login/oauth/authorize?{urlencode(query)}"
    answer = requests.post(url, data={"login": login}, allow_redirects=False, timeout=10)
    assert answer.status_code == 302, answer.text
    assert answer.headers["Location"].startswith(HOME)
    return dict(parse_qsl(urlsplit(answer.headers["Location"]).query))


def exchange(github, client: Client, accept: str = "application/json", **given: str) -> requests.Response:
    form = {"client_id": client.id, "client_secret": client.secret, **given}
    url = f"{github.simulator.url}/login/oauth/access_token"
    return requests.post(url, data=form, headers={"Accept": accept}, timeout=10)


def who(github, token: str, path: str = "/user") -> requests.Response:
    headers = {"Authorization": f"Bearer {token}"}
    return requests.get(github.simulator.api_url + path, headers=headers, timeout=10)


def test_a_person_is_asked_and_a_code_is_worth_one_token(github, plain):
    page = requests.get(f"{github.simulator.url}/login/oauth/authorize?client_id={plain.id}", timeout=10).text
    back = authorize(github, plain, scope="user:email")
    first = exchange(github, plain, code=back["code"], redirect_uri=HOME).json()
    again = exchange(github, plain, code=back["code"])

    assert "Authorize as ada" in page
    assert back["state"] == "s"
    assert (first["token_type"], first["scope"], "expires_in" in first) == ("bearer", "user:email", False)
    assert who(github, first["access_token"]).json()["login"] == "ada"
    assert [row["verified"] for row in who(github, first["access_token"], "/user/emails").json()] == [True, False]
    assert (again.status_code, again.json()["error"]) == (200, "bad_verification_code")


def test_answers_are_forms_unless_json_is_asked_for(github, plain):
    code = authorize(github, plain)["code"]
    answer = exchange(github, plain, accept="*/*", code=code)

    assert answer.headers["Content-Type"].startswith("application/x-www-form-urlencoded")
    assert dict(parse_qsl(answer.text))["access_token"].startswith("gho_")


def test_refusals_come_with_status_200(github, plain, app):
    def word(client=plain, **given: str) -> str:
        answer = exchange(github, client, **given)
        return f"{answer.status_code} {answer.json()['error']}"

    old = authorize(github, plain)["code"]
    github.simulator.world.oauth.codes[old].expires_at = now() - timedelta(seconds=1)

    assert word(client_secret="no", code="x") == "200 incorrect_client_credentials"
    assert word(code=old) == "200 bad_verification_code"
    assert word(app, code=authorize(github, plain)["code"]) == "200 bad_verification_code"
    assert word(code=authorize(github, plain)["code"], redirect_uri=HOME + "else/") == "200 redirect_uri_mismatch"
    kept = authorize(github, plain, code_challenge=CHALLENGE)["code"]
    assert word(code=kept, code_verifier="other") == "200 bad_verification_code"
    assert word(grant_type="refresh_token", refresh_token="ghr_no") == "200 bad_refresh_token"
    assert word(client_id="unknown") == "404 Not Found"
    fitting = authorize(github, plain, code_challenge=CHALLENGE)["code"]
    assert exchange(github, plain, code=fitting, code_verifier=VERIFIER).json()["access_token"]


def test_who_cancels_comes_back_without_a_code_and_never_to_another_address(github, plain):
    assert authorize(github, plain, login="")["error"] == "access_denied"
    assert authorize(github, plain, redirect_uri="https://evil.example.org/")["error"] == "redirect_uri_mismatch"


def test_a_refresh_token_works_once_and_ends_the_access_token(github, app):
    first = exchange(github, app, code=authorize(github, app)["code"]).json()
    given = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    second = exchange(github, app, **given).json()

    assert (first["expires_in"], first["scope"]) == (8 * 3600, "")
    assert exchange(github, app, **given).json()["error"] == "bad_refresh_token"
    assert who(github, first["access_token"]).status_code == 401
    assert who(github, second["access_token"]).json()["login"] == "ada"
    assert who(github, second["access_token"], "/user/emails").status_code == 403
    assert who(github, second["access_token"], f"/repos/{github.repo.full_name}").json()["permissions"]["push"]


def test_a_client_ends_its_own_tokens_only(github, app, plain):
    given = exchange(github, app, code=authorize(github, app)["code"]).json()
    url = f"{github.simulator.api_url}/applications/{app.id}/token"
    body = {"access_token": given["access_token"]}

    def end(client: Client, **how) -> int:
        how = {"json": body, "auth": (client.id, client.secret), "timeout": 10, **how}
        return requests.delete(url, **how).status_code

    assert end(plain) == 404
    assert end(app, auth=(app.id, "wrong")) == 401
    assert end(app, json={}) == 422
    assert who(github, given["access_token"]).status_code == 200
    assert (end(app), end(app)) == (204, 404)
    assert who(github, given["access_token"]).status_code == 401
    again = exchange(github, app, grant_type="refresh_token", refresh_token=given["refresh_token"])
    assert again.json()["error"] == "bad_refresh_token"
