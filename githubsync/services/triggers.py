"""What starts work from GitHub: a label, an assignee, our name there, trusted bots, and how much of it in an hour."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from django.db import transaction

from githubsync.models import Repository
from mcc.core import audit
from mcc.core.errors import InvalidInput
from mcc.core.models import User
from projects.services.rights import require_decider

MOST_BOTS: Final = 50
MOST_STARTS: Final = 1_000
LARGEST: Final = 2**63
LABEL: Final = re.compile(r"[^\s,](?:[^,\n]{0,48}[^\s,])?")
MENTION: Final = re.compile(r"[0-9A-Za-z](?:-?[0-9A-Za-z]){0,38}")
"""What an account may be called on GitHub."""


def change(
    repository: Repository,
    *,
    user: User,
    trigger_label: str | None = None,
    trigger_assignee: str | None = None,
    mention: str | None = None,
    trusted_bots: Sequence[int] | None = None,
    starts_per_hour: int | None = None,
) -> None:
    """Change what is given; an empty label or name starts nothing. Raises NotAllowed, InvalidInput."""
    assert repository.project is not None
    require_decider(user, repository.project)
    given = {
        "trigger_label": None if trigger_label is None else trigger_label.strip(),
        "trigger_assignee": None if trigger_assignee is None else trigger_assignee.strip().removeprefix("@"),
        "mention": None if mention is None else mention.strip().removeprefix("@"),
        "trusted_bots": None if trusted_bots is None else sorted(set(trusted_bots)),
        "starts_per_hour": starts_per_hour,
    }
    now = {name: value for name, value in given.items() if value is not None}
    if wrong := _wrong(now):
        raise InvalidInput("The triggers cannot be like this.", fields=wrong)
    changed = {name: value for name, value in now.items() if getattr(repository, name) != value}
    if changed:
        forgotten = {"trigger_label_id": None} if "trigger_label" in changed else {}
        Repository.objects.filter(pk=repository.pk).update(**changed, **forgotten)
        audit.record(user, "github.change_triggers", f"githubsync.repository:{repository.pk}", changed)
    for name, value in changed.items():
        setattr(repository, name, value)


@transaction.atomic
def follow(repository: Repository, label: str) -> None:
    """Let work start by ``label``: so the one that started it is called on GitHub now."""
    before = repository.trigger_label
    same = Repository.objects.filter(pk=repository.pk, trigger_label=before)
    if same.update(trigger_label=label[:50]):
        repository.trigger_label = label[:50]
        detail = {"trigger_label": repository.trigger_label, "before": before}
        audit.record(None, "github.follow_label", f"githubsync.repository:{repository.pk}", detail)


def _wrong(given: Mapping[str, object]) -> dict[str, list[str]]:
    label, bots = given.get("trigger_label"), given.get("trusted_bots", ())
    assert isinstance(bots, Sequence)
    wrong = {}
    if label and not LABEL.fullmatch(str(label)):
        wrong["trigger_label"] = ["At most 50 characters in one line, and no comma."]
    for field in ("trigger_assignee", "mention"):
        if given.get(field) and not MENTION.fullmatch(str(given[field])):
            wrong[field] = ["Letters, digits and single hyphens, as a name on GitHub: at most 39."]
    if len(bots) > MOST_BOTS:
        wrong["trusted_bots"] = [f"At most {MOST_BOTS} bots."]
    elif not all(type(each) is int and 0 < each < LARGEST for each in bots):
        wrong["trusted_bots"] = ["GitHub's numbers of bots, one a line: digits only."]
    if not 1 <= int(str(given.get("starts_per_hour", 1))) <= MOST_STARTS:
        wrong["starts_per_hour"] = [f"1 to {MOST_STARTS}."]
    return wrong
