"""Pages of the web site that a person's browser is sent to. Whoever comes is Ada, and agrees to everything at once."""

from __future__ import annotations

import json
import re
from urllib.parse import parse_qs, urlencode

from githubsync.simulator import apps
from githubsync.simulator.world import World

OWNER = "ada"
NEW_APP = re.compile(r"(?:/organizations/([^/]+))?/settings/apps/new")
INSTALL = re.compile(r"/github-apps/([^/]+)/installations/new")


def answer(world: World, method: str, path: str, query: str, sent: bytes) -> str | None:
    """Return where the browser is sent, None when there is no such page."""
    given = parse_qs(query)
    state = {name: values[0] for name, values in given.items() if name == "state"}
    with world.lock:
        if method == "POST" and (page := NEW_APP.fullmatch(path)):
            manifest = json.loads(parse_qs(sent.decode())["manifest"][0])
            _, code = apps.create(world, page[1] or OWNER, manifest)
            return f"{manifest['redirect_url']}?{urlencode({'code': code, **state})}"
        if method == "GET" and (page := INSTALL.fullmatch(path)):
            app = next((app for app in world.apps.values() if app.slug == page[1]), None)
            if app is None:
                return None
            made = apps.install(world, app, app.owner.login)
            return f"{app.setup_url}?{urlencode({'installation_id': made.id, 'setup_action': 'install', **state})}"
    return None
