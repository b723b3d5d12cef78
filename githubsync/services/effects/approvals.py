"""Approvals of a pull request of ours: of somebody who is known here and may approve, one is their vote on that commit.

    approved ──> a vote ──> dismissed, or changes requested by the same person afterwards ──> withdrawn, for good

Who gives it is known by the number of the account that they connected here, never by a name. Whether such votes count
is a rule of the project; approvals of everybody else stay what they are on GitHub.
"""

from collections.abc import Sequence
from typing import Any

from githubsync.services.effects import threads
from githubsync.services.effects.look import Look, login
from githubsync.services.effects.people import here
from githubsync.services.effects.reviews import (
    APPROVED,
    CHANGES,
    DISMISSED,
    LONGEST_TEXT,
    is_followed,
    page_of,
    reference,
)
from projects.models import PullRequest
from projects.services import outside
from projects.services.proof import Place


def look_at(look: Look, pull: PullRequest, given: Sequence[dict[str, Any]], *, base_branch: str) -> None:
    """Let the votes on ``pull`` agree with the reviews of other accounts than ours.

    New ones are for a merge into ``base_branch``.
    """
    votes = {vote.reference: vote for vote in pull.votes.exclude(reference="").select_related("withdrawal")}
    for row in given:
        vote, why = votes.get(reference(row)), _taken_back(row, given)
        if vote is not None and why and not vote.is_withdrawn:
            look.lease.check()
            vote.pull_request = pull
            outside.approval_withdrawn(vote, reason=why)
        elif vote is None and row["state"] == APPROVED and row["commit_id"] == pull.head_sha and not why:
            _vote(look, pull, row, base_branch)


def _taken_back(row: dict[str, Any], given: Sequence[dict[str, Any]]) -> str:
    """Return why an approval does not hold any more, "" while it does. The last opinion of a person counts."""
    if row["state"] == DISMISSED:
        return "dismissed on GitHub"
    return "changes requested on GitHub afterwards" if is_followed(row, given, CHANGES, DISMISSED) else ""


def _vote(look: Look, pull: PullRequest, row: dict[str, Any], base_branch: str) -> None:
    user = here(look, row["user"])
    if user is None:
        return
    look.lease.check()
    place = Place(reference(row), login(row["user"]), page_of(look, pull, row))
    about = {"head_sha": row["commit_id"], "base_branch": base_branch}
    outside.approved(pull, user, place, text=threads.readable(row["body"], LONGEST_TEXT), **about)
