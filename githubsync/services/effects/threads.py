"""What stands beside the lines of a pull request of ours, as it is now: without what was deleted, or is resolved.

What people want there waits until the Coder begins (``Feedback``). Until then it is as it stands on GitHub, where only
its author and who may write can change or delete it, or resolve its thread. That it is resolved only GraphQL says.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final

from githubsync.services.effects.look import Look
from githubsync.services.effects.people import may_order
from projects.forge import Forbidden, NotFound, Unavailable
from projects.instructions import shown
from projects.models import Feedback, PullRequest
from projects.services import outside

LONGEST_COMMENT: Final = 1500
LONGEST_PATH: Final = 300
MOST_COMMENTS: Final = 30
REVIEW: Final = "github-review:"
_QUERY: Final = """query Q($id: ID!) { node(id: $id) { ... on PullRequest {
  reviewThreads(last: 100) { nodes { isResolved comments(first: 1) { nodes { databaseId } } } }
} } }"""


def open_comments(look: Look, facts: dict[str, Any], pull: PullRequest) -> list[dict[str, Any]]:
    """Return the comments beside the lines of ``pull``, on GitHub as in ``facts``, whose threads are not resolved."""
    rows = list(look.client.pages(f"{look.root}/pulls/{pull.number}/comments"))
    resolved = _resolved(look, facts["node_id"]) if rows else ()
    return [row for row in rows if _thread(row) not in resolved]


def _resolved(look: Look, node_id: str) -> Collection[int]:
    """Return the first comments of threads that are resolved; none where a token may not ask that."""
    try:
        nodes = look.client.node(_QUERY, node_id)["reviewThreads"]["nodes"]
        firsts = [row["comments"]["nodes"] for row in nodes if row["isResolved"]]
        return {first[0]["databaseId"] for first in firsts if first}
    except (Forbidden, NotFound):
        return ()
    except (KeyError, TypeError, IndexError) as error:
        raise Unavailable("What GitHub says of the threads of a review is not as it should be.") from error


def look_at(look: Look, facts: dict[str, Any], pull: PullRequest) -> None:
    """Let what still waits for the Coder be as it stands on GitHub now."""
    rows = Feedback.objects.filter(pull_request=pull, round=None, withdrawn_at=None, reference__startswith=REVIEW)
    waiting = [row for row in rows if row.findings]
    comments = open_comments(look, facts, pull) if waiting else []
    for row in waiting:
        now, left_out = beside(comments, int(row.reference.removeprefix(REVIEW)))
        known = {each.get("id"): each for each in row.findings}
        edited = [each for each in now if each["id"] in known and each != known[each["id"]]]
        author = next((each["user"] for each in comments if edited and each["id"] == edited[0]["id"]), None)
        if edited and not may_order(look, author):
            now = [known.get(each["id"], each) for each in now]
        if (now, left_out) != (row.findings, row.left_out):
            look.lease.check()
            outside.findings_now(pull, row.reference, now, left_out)


def beside(comments: Sequence[dict[str, Any]], review: int) -> tuple[list[dict[str, object]], int]:
    """Return what a review says beside lines, as far as it is shown, and how much more there is."""
    rows = [each for each in comments if each.get("pull_request_review_id") == review]
    return [_finding(each) for each in rows[:MOST_COMMENTS]], len(rows[MOST_COMMENTS:])


def _thread(comment: dict[str, Any]) -> int:
    """Return what a thread is known by: its first comment, which alone may be replied to."""
    return int(comment.get("in_reply_to_id") or comment["id"])


def _finding(comment: dict[str, Any]) -> dict[str, object]:
    """A line that the diff does not show any more is known by where it was."""
    return {
        "id": comment["id"],
        "thread": _thread(comment),
        "path": readable(comment["path"], LONGEST_PATH),
        "line": comment.get("line") or comment.get("original_line"),
        "comment": readable(comment["body"], LONGEST_COMMENT),
    }


def readable(text: str | None, longest: int) -> str:
    """Return ``text`` without what nobody sees who reads it, cut when it is endless."""
    visible = shown(text or "")
    return visible if len(visible) <= longest else f"{visible[:longest]} … (cut)"
