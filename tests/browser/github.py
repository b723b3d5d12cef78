"""Run inside the company: what an administrator sets up, by the pages, with a GitHub beside it.

A connection by an App, by which people sign in; one by a token, with an OAuth App and a project; one whose App was
never made. Prints the numbers of all that as JSON.
"""

from tests.journeys.hub import CLICKS

CONNECT = f"""{CLICKS}
import json
from githubsync.models import Identity
from githubsync.models import Connection
from githubsync.services import linking

app = Connection.objects.get()
for login in ("grace", "linus"):
    assert browser.post("/people/", {{"connection": app.pk, "login": login, "role": "viewer"}}).status_code == 302
text = browser.post(f"/accounts/github/{{app.pk}}/").content.decode()
there = unescape(re.search('refresh" content="0; url=([^"]+)"', text)[1])
browser.get(redirected(requests.post(there, data={{"login": "ada"}}, allow_redirects=False, timeout=20)))

token = {{"name": "Our token", "token": os.environ["HUB_TOKEN"]}}
page = redirected(browser.post("/connections/new/", given | token))
client = {{"client_id": os.environ["HUB_CLIENT"], "client_secret": os.environ["HUB_SECRET"]}}
assert browser.post(f"{{page}}sign-in/", client).status_code == 302
ours = Connection.objects.get(name="Our token")
linked, free = sorted(linking.candidates(ours), key=lambda one: one.full_name)
linking.link(ours, linked.github_id, key="HUB", name="Hub", user=User.objects.get(username="admin"))

unmade = redirected(browser.post("/connections/new/app/", given | {{"name": "Another App"}}))
numbers = {{"token": ours.pk, "app": app.pk, "free": free.github_id, "identity": Identity.objects.get().pk}}
print("github", json.dumps(numbers | {{"unmade": unmade}}))
"""
