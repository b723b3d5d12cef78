"""Votes bound to a commit, what is wrong with it, and whether it may be merged.

A vote speaks about one ``head_sha``, and the approval of a person about one branch that it is merged into. A push moves
the head away and so voids the votes, another base voids the approvals; nothing is ever deleted.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import transaction

from agents.models import Run
from mcc.core.models import User
from projects import orders
from projects.models import Check, Feedback, OutsideCheck, PullRequest, Request, Vote
from projects.models.issue import Size
from projects.orders import fenced
from projects.services import checks, feedback, news

Finding = dict[str, object]
WITHOUT = "without"


@dataclass(frozen=True)
class Place:
    """Where a person voted: at the forge, which knows it by ``reference`` and them by ``author``; else here."""

    reference: str = ""
    author: str = ""
    url: str = ""


HERE = Place()


@transaction.atomic
def cast(
    pull: PullRequest,
    kind: Vote.Kind,
    verdict: Vote.Verdict,
    *,
    head_sha: str,
    run: Run | None = None,
    user: User | None = None,
    summary: str = "",
    findings: Sequence[Finding] = (),
    criteria: Sequence[Finding] = (),
    base_branch: str = "",
    place: Place = HERE,
) -> Vote:
    """Write down a judgement of ``head_sha`` by the agent of ``run``, or by ``user`` for a merge into ``base_branch``.

    Cast twice in the same ``place``, the first one stands.
    """
    agent = run.agent if run else None
    by = {"agent": agent, "user": user, "reference": place.reference}
    same = pull.votes.filter(kind=kind, head_sha=head_sha, base_branch=base_branch, **by)
    existing = same.first()
    if existing:
        return existing
    vote = Vote(
        pull_request=pull,
        kind=kind,
        verdict=verdict,
        head_sha=head_sha,
        base_branch=base_branch,
        run=run,
        summary=summary,
        findings=list(findings),
        criteria=list(criteria),
        reference=place.reference,
        author=place.author[:100],
        url=place.url,
    )
    vote.agent, vote.user = agent, user
    vote.save()
    news.vote_cast(vote)
    return vote


@dataclass(frozen=True)
class Standing:
    """Where the commit at the head of a pull request stands, on every point that a merge needs."""

    checks: tuple[Check, ...]
    tester: Vote | None
    reviewer: Vote | None
    person: Vote | None
    needs_tester: bool
    needs_person: bool
    outside_red: bool = False
    """See ``is_red_outside``. That it is green is never needed."""

    @property
    def checks_passed(self) -> bool:
        """Whether none is red or still to come: so it is where there are none. Whoever tells of it says which."""
        return all(check.status == Check.Status.PASSED for check in self.checks)

    @property
    def rejected(self) -> bool:
        votes = (self.tester, self.reviewer, self.person)
        return any(vote is not None and vote.verdict == Vote.Verdict.REJECT for vote in votes)

    @property
    def tested(self) -> bool:
        return self.checks_passed and (not self.needs_tester or _approves(self.tester))

    @property
    def reviewed(self) -> bool:
        return self.tested and _approves(self.reviewer)

    @property
    def may_merge(self) -> bool:
        """The quorum: green checks, a passing test, an approving review, a person where the project wants one."""
        refused = self.rejected or self.outside_red
        return self.reviewed and not refused and (not self.needs_person or _approves(self.person))


def standing(pull: PullRequest) -> Standing:
    """Return where the head of ``pull`` stands: four queries, the last vote of each kind and person counts."""
    last = {(vote.kind, vote.user_id): vote for vote in pull.votes.counting().order_by("pk")}
    return Standing(
        checks=tuple(checks.on(pull, Check.On.HEAD, pull.head_sha)),
        tester=last.get((Vote.Kind.TESTER, None)),
        reviewer=last.get((Vote.Kind.REVIEWER, None)),
        person=_decisive([vote for vote in last.values() if vote.kind == Vote.Kind.PERSON]),
        needs_tester=not takes_fast_lane(pull),
        needs_person=pull.project.merge_needs_approval,
        outside_red=is_red_outside(pull),
    )


def _decisive(votes: Sequence[Vote]) -> Vote | None:
    """Return the vote of a person that counts where several gave one: nobody approves what another sent back."""
    return max(votes, key=lambda vote: (vote.verdict == Vote.Verdict.REJECT, vote.pk), default=None)


def is_taken_back(pull: PullRequest) -> bool:
    """Whether what let the head be merged does not hold any more: somebody rejects it, or no approval is left."""
    now = standing(pull)
    approvals = pull.votes.filter(kind=Vote.Kind.PERSON, verdict=Vote.Verdict.APPROVE, head_sha=pull.head_sha)
    return now.rejected or (now.needs_person and now.person is None and approvals.exists())


def outside_key(pull: PullRequest) -> str:
    """Return the key of the question what to do about a CI that stays red on the head."""
    return f"ci:{pull.pk}:{pull.head_sha}"


def is_red_outside(pull: PullRequest) -> bool:
    """Whether a CI that is not ours is red on the head, and no person said to go on without it."""
    is_red = OutsideCheck.objects.of_head(pull).red().exists()
    return is_red and not Request.objects.filter(key=outside_key(pull), answer=WITHOUT).exists()


def takes_fast_lane(pull: PullRequest) -> bool:
    """Whether the Tester is left out: the project allows it, and the whole issue is one small task."""
    return pull.project.fast_lane and pull.issue.size == Size.SMALL


def findings(pull: PullRequest, wishes: Iterable[Feedback] = ()) -> str:
    """Return all that is wrong with the head of ``pull``, and ``wishes``, gathered into one text for the Coder."""
    parts = [_failed_check(check) for check in failures(pull)]
    against = pull.votes.filter(head_sha=pull.head_sha, verdict=Vote.Verdict.REJECT)
    parts += [_rejection(vote) for vote in against.select_related("agent", "user")]
    parts += [feedback.in_words(row) for row in wishes]
    if red := list(OutsideCheck.objects.of_head(pull).red()):
        parts.append(orders.outside(red))
    return "\n\n".join(parts)


def failures(pull: PullRequest) -> list[Check]:
    """Return the checks that failed on the head, or on the head merged into a base that had moved."""
    on_head = list(checks.on(pull, Check.On.HEAD, pull.head_sha))
    newest = max((check.pk for check in on_head), default=0)
    merged = pull.checks.filter(on=Check.On.MERGED_TREE, pk__gt=newest)
    return [check for check in [*on_head, *merged] if check.status == Check.Status.FAILED]


def _approves(vote: Vote | None) -> bool:
    return vote is not None and vote.verdict == Vote.Verdict.APPROVE


def _failed_check(check: Check) -> str:
    ending = f"exit code {check.exit_code}" if check.exit_code is not None else check.ending
    where = "" if check.on == Check.On.HEAD else ", on your branch merged into its base"
    return f"Check `{check.name}` failed ({ending}{where}): `{check.command}`\n{fenced(checks.tail(check))}"


def _rejection(vote: Vote) -> str:
    lines = [f"The {vote.get_kind_display()} ({vote.actor_name}) rejected it. {vote.summary}".rstrip()]
    for criterion in vote.criteria:
        if not criterion.get("passed"):
            lines.append(f"- not met: {criterion.get('criterion')}. {criterion.get('evidence', '')}".rstrip())
    for finding in vote.findings:
        place = f"{finding.get('path')}:{finding.get('line')}" if finding.get("line") else finding.get("path")
        lines.append(f"- {place} ({finding.get('severity')}): {finding.get('comment')}")
    return "\n".join(lines)
