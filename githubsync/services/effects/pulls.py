"""A pull request of ours, as it is on GitHub now."""

from githubsync.services.effects import approvals, branch_rules, orders, reviews, threads
from githubsync.services.effects.look import Look, login
from projects.forge import NotFound
from projects.models import PullRequest
from projects.services import outside


def look_at(look: Look, number: int) -> None:
    """Make MCC agree with what people did to pull request ``number``. Pull requests of others are not our business."""
    mine = PullRequest.objects.filter(project=look.project, number=number)
    pull = mine.select_related("issue__project").first()
    if pull is None or pull.status == PullRequest.Status.MERGED:
        return
    try:
        facts = look.client.get(f"{look.root}/pulls/{number}")
    except NotFound:
        look.client.get(look.root)  # raises when it is the repository that we do not see any more
        raise
    look.lease.check()
    if facts["merged"]:
        outside.pull_merged(pull, facts["merge_commit_sha"], by=login(facts["merged_by"]))
    elif facts["state"] == "closed":
        outside.pull_closed(pull)
    elif pull.status != PullRequest.Status.CLOSED:
        base = facts["base"]["ref"]
        outside.base_seen(pull, base)
        outside.head_seen(pull, facts["head"]["sha"])
        said = reviews.given(look, facts, pull)
        threads.look_at(look, facts, pull)
        reviews.look_at(look, facts, pull, said)
        # What an approval is for that we hear of together with another base, nobody knows.
        approvals.look_at(look, pull, said, base_branch=base if base == pull.base_branch else "")
        orders.by_comments(look, facts, pull.issue)
        branch_rules.show(look, pull)
