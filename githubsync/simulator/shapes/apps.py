"""Apps and their installations as GitHub's JSON."""

from githubsync.simulator.apps import App, Installation
from githubsync.simulator.shapes.basics import Basics, Json, node, stamp


class Apps(Basics):
    def integration(self, app: App) -> Json:
        return {
            "id": app.id,
            "client_id": app.client_id,
            "slug": app.slug,
            "node_id": node("App", app.id),
            "owner": self.user(app.owner),
            "name": app.name,
            "description": None,
            "external_url": app.url,
            "html_url": f"{self.web}/github-apps/{app.slug}",
            "created_at": stamp(app.created_at),
            "updated_at": stamp(app.created_at),
            "permissions": app.permissions,
            "events": app.events,
        }

    def installation(self, one: Installation) -> Json:
        url = f"{self.api}/app/installations/{one.id}"
        return {
            "id": one.id,
            "account": self.user(one.account),
            "repository_selection": "all" if one.repositories is None else "selected",
            "access_tokens_url": f"{url}/access_tokens",
            "repositories_url": f"{self.api}/installation/repositories",
            "html_url": f"{self.web}/settings/installations/{one.id}",
            "app_id": one.app.id,
            "app_slug": one.app.slug,
            "target_id": one.account.id,
            "target_type": one.account.kind,
            "permissions": one.permissions,
            "events": one.events,
            "created_at": stamp(one.app.created_at),
            "updated_at": stamp(one.app.created_at),
            "single_file_name": None,
            "suspended_by": self.user(one.account) if one.suspended_at else None,
            "suspended_at": stamp(one.suspended_at),
        }
