"""What people wanted beside lines of a pull request is answered in its thread, once the rework of it is handed in."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from githubsync.client import Client, Rejected
from githubsync.services.telling import Memory
from githubsync.wording import in_line
from mcc.core.redaction import redact
from projects.forge import NotFound
from projects.models import Feedback, PullRequest, TaskStatus

LONGEST: Final = 300
AT_WORK: Final = (TaskStatus.PENDING, TaskStatus.CODING, TaskStatus.CANCELLED)


def tell(client: Client, root: str, pull: PullRequest, memory: Memory) -> None:
    """Say which commit answers each comment that a round of rework took up, and what the Coder said of it, once."""
    where = f"{root}/pulls/{pull.number}/comments"
    for number, thread in _mended(pull):
        what = f"reply:{number}"
        if not memory.is_news(what, "said"):
            continue
        mark = memory.marker(what)
        if not memory.began(what) or memory.ours(client.pages(where), mark, client) is None:
            with suppress(NotFound, Rejected):  # it was deleted meanwhile, or nobody may answer there
                client.write("POST", f"{where}/{thread}/replies", {"body": f"{_words(pull)}\n\n{mark}"})
        memory.sent(what, "said")


def _mended(pull: PullRequest) -> Iterator[tuple[int, int]]:
    """Give GitHub's numbers of the comments whose round of rework is over, and of their threads."""
    task = pull.task
    rounds = task.rework - (task.status in AT_WORK)
    rows = Feedback.objects.filter(pull_request=pull, round__lte=rounds, withdrawn_at=None)
    for row in rows.exclude(head_sha=pull.head_sha):
        yield from ((each["id"], each["thread"]) for each in row.findings if "thread" in each)


def _words(pull: PullRequest) -> str:
    said = in_line(redact(pull.body.partition("\n")[0]))[:LONGEST]
    coder = pull.task.assignee.name if pull.task.assignee else "The Coder"
    return f"Reworked in {pull.head_sha[:12]}. {in_line(coder)}: {said or 'no words about it.'}"
