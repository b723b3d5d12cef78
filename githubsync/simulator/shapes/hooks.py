"""Hooks and their deliveries as GitHub's JSON."""

from __future__ import annotations

from githubsync.simulator.hooks import Hook, Sent
from githubsync.simulator.shapes.basics import Basics, Json, stamp
from githubsync.simulator.things import Repo

MASKED = "********"


class Hooks(Basics):
    def hook_config(self, hook: Hook) -> Json:
        """Nobody gets to see a secret again."""
        shape = {"url": hook.url, "content_type": hook.content_type, "insecure_ssl": hook.insecure_ssl}
        return shape | ({"secret": MASKED} if hook.secret else {})

    def hook(self, repo: Repo, hook: Hook) -> Json:
        url = f"{self.repo_url(repo)}/hooks/{hook.id}"
        last = hook.deliveries[-1] if hook.deliveries else None
        return {
            **self.hook_itself(hook),
            "url": url,
            "test_url": f"{url}/test",
            "ping_url": f"{url}/pings",
            "deliveries_url": f"{url}/deliveries",
            "last_response": {
                "code": last.status_code if last else None,
                "status": "unused" if last is None else "active" if last.status == "OK" else "misconfigured",
                "message": last.status if last else None,
            },
        }

    def hook_itself(self, hook: Hook) -> Json:
        """A hook as its own ping describes it."""
        shape: Json = {
            "type": "App" if hook.of_app else "Repository",
            "id": hook.id,
            "name": "web",
            "active": hook.active,
            "events": hook.events,
            "config": self.hook_config(hook),
            "updated_at": stamp(hook.updated_at),
            "created_at": stamp(hook.created_at),
        }
        return shape | ({"app_id": hook.target} if hook.of_app else {})

    def sent(self, sent: Sent, *, whole: bool = False) -> Json:
        about = sent.payload
        shape: Json = {
            "id": sent.id,
            "guid": sent.guid,
            "delivered_at": sent.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "redelivery": sent.redelivery,
            "duration": sent.duration_s,
            "status": sent.status,
            "status_code": sent.status_code,
            "event": sent.event,
            "action": sent.action,
            "installation_id": (about.get("installation") or {}).get("id"),
            "repository_id": (about.get("repository") or {}).get("id"),
            "throttled_at": None,
        }
        if whole:
            shape["url"] = sent.url
            shape["request"] = {"headers": sent.headers, "payload": sent.payload}
            shape["response"] = {"headers": sent.answer_headers, "payload": sent.answer}
        return shape
