"""The label that starts work is known by GitHub's number once it was seen: renamed there, it is followed."""

from collections.abc import Iterable
from typing import Any

from githubsync.models import Repository
from githubsync.services import triggers
from githubsync.services.effects.look import Look


def look_at(look: Look, name: str) -> None:
    """Find out what the label is called now, after somebody made, renamed or deleted one. A request for a hundred."""
    if look.repository.trigger_label:
        see(look, look.client.pages(f"{look.root}/labels"))


def see(look: Look, labels: Iterable[dict[str, Any]]) -> None:
    """Learn from ``labels``, as GitHub has them now, which one starts work, and what it is called by now.

    One that has the name is it, whatever was called so before.
    """
    repository, rows = look.repository, list(labels)
    wanted = repository.trigger_label.lower()
    named = next((row for row in rows if wanted and row["name"].lower() == wanted), None)
    known = next((row for row in rows if row["id"] == repository.trigger_label_id), None)
    if named is not None and named["id"] != repository.trigger_label_id:
        Repository.objects.filter(pk=repository.pk).update(trigger_label_id=named["id"])
        repository.trigger_label_id = named["id"]
    elif named is None and known is not None and wanted:
        look.lease.check()
        triggers.follow(repository, str(known["name"]))
