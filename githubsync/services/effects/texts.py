"""Whose words an issue has, at the moment when somebody orders work on it.

Whoever wrote an issue can change it at any time, also in the second after somebody who may order had read it. GitHub
says only in GraphQL when a text was last changed and by whom; its ``updated_at`` moves with every label.
"""

from datetime import datetime
from typing import Any, Final

from githubsync.services.effects.look import Look, login
from githubsync.services.effects.people import may_order
from projects.forge import Unavailable

_ACTOR: Final = "{ __typename login ... on User { databaseId } ... on Bot { databaseId } }"
_QUERY: Final = f"""query Q($id: ID!) {{ node(id: $id) {{ ... on Issue {{
  title body lastEditedAt editor {_ACTOR}
  timelineItems(itemTypes: [RENAMED_TITLE_EVENT], last: 1) {{
    nodes {{ ... on RenamedTitleEvent {{ createdAt actor {_ACTOR} }} }}
  }}
}} }} }}"""


def changed_by(look: Look, facts: dict[str, Any], since: datetime) -> str:
    """Return who last changed title or text of an issue at ``since`` or later and may not order; "" when nobody did.

    One request. Raises Unavailable when it reads otherwise by now than in ``facts``, ForgeErrors.
    """
    now = look.client.node(_QUERY, facts["node_id"])
    try:
        renames = now["timelineItems"]["nodes"]
        changes = [(now["lastEditedAt"], now["editor"]), *((row["createdAt"], row["actor"]) for row in renames)]
        # In whole seconds: what happened in the same one may have come after.
        late = [by for at, by in changes if at and datetime.fromisoformat(at) >= since]
        same = _lines(now) == _lines(facts)
    except (KeyError, TypeError, ValueError) as error:
        raise Unavailable("What GitHub says of an issue's text is not as it should be.") from error
    if not same:
        raise Unavailable("The issue is being edited: it is looked at again.")
    return next((login(by) for by in late if not may_order(look, _account(by))), "")


def _lines(words: dict[str, Any]) -> list[str]:
    return [words["title"], *(words["body"] or "").splitlines()]


def _account(actor: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return an account as REST has it."""
    return actor and {"id": actor.get("databaseId"), "login": actor["login"], "type": actor["__typename"]}
