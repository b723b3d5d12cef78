"""How the company hears of GitHub."""

from collections.abc import Iterator

import pytest

from tests.journeys import auditor
from tests.journeys.company import Company, wait_until
from tests.journeys.hub import Hub, link, running

pytestmark = [pytest.mark.journey, pytest.mark.sandbox, pytest.mark.timeout(400)]

REMARK = {"path": "notes/ct-1.md", "line": 1, "side": "RIGHT", "body": "A better heading, please."}
ASKED = "select count(*) from projects_request where answered_at is null and kind = ?"
HEAD = "select head_sha from projects_pullrequest"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running("ada/notes") as hub:
        yield hub


def ordered(company: Company, hub: Hub) -> int:
    """Order a note by a label on GitHub and wait until somebody is asked to merge it; return the issue."""
    hub.do("POST", "/issues", {"title": "Leave a note", "labels": ["mcc"]})
    return merge_is_asked(company)


def merge_is_asked(company: Company) -> int:
    """See an order through the plan until somebody is asked to merge it; return the issue."""
    company.wait_for("select count(*) from projects_issue i join githubsync_issuelink l on l.issue_id = i.id")
    [row] = company.rows("select issue_id from githubsync_issuelink")
    issue = int(row["issue_id"])
    company.wait_for(ASKED, "plan")
    company.answer_requests(issue)
    company.wait_for(ASKED, "merge")
    return issue


def head(company: Company) -> str:
    [row] = company.rows(HEAD)
    return str(row["head_sha"])


def reworked(company: Company, before: str) -> str:
    """Wait until the Coder handed in another commit and somebody is asked to merge it; return the commit."""
    company.wait_for("select head_sha <> ? from projects_pullrequest", before)
    company.wait_for(ASKED, "merge")
    return head(company)


def assert_done_there(company: Company, hub: Hub, issue: int) -> None:
    """It is merged and told: one squashed commit, one closed issue, no branch left, nothing waits to be said."""
    told = "select count(*) = 0 from githubsync_outgoing"
    wait_until(lambda: hub.at("/issues/1")["state"] == "closed" and company.says_yes(told), 60, company.tail)
    assert [branch["name"] for branch in hub.at("/branches")] == ["main"]
    [pull] = hub.at("/pulls?state=all")
    assert hub.at(f"/pulls/{pull['number']}")["merged"] is True
    [comment] = hub.at("/issues/1/comments")
    assert "CT-1 is done." in comment["body"]
    auditor.ledger_equals_the_bill(company)
    auditor.every_step_is_charged_once(company)
    auditor.moves_follow_each_other(company)


def test_webhooks_alone_carry_an_issue_through_review_red_ci_and_a_rename_to_the_merge(company, hub):
    company.environment["MCC_POLL_INTERVAL_S"] = "0"
    company.start()
    link(company, hub, "app", "ls notes")
    issue = ordered(company, hub)
    [pull] = hub.at("/pulls")

    first = head(company)
    review = {"event": "REQUEST_CHANGES", "body": "Nearly.", "comments": [REMARK], "commit_id": first}
    hub.do("POST", f"/pulls/{pull['number']}/reviews", review)
    second = reworked(company, first)
    [told] = company.rows("select findings from projects_feedback")
    assert [found["comment"] for found in auditor.loaded(told["findings"])] == [REMARK["body"]]

    hub.do("POST", f"/statuses/{second}", {"state": "failure", "context": "ci/theirs", "description": "1 failed"})
    third = reworked(company, second)
    hub.do("POST", f"/statuses/{third}", {"state": "success", "context": "ci/theirs"})
    company.wait_for("select count(*) from projects_outsidecheck where state = 'green'")

    hub.do("PATCH", "", {"name": "memos"})
    hub.repository = "ada/memos"
    assert company.see_through(issue) == ["merge"]

    assert_done_there(company, hub, issue)
    company.wait_for("select count(*) = 0 from githubsync_delivery where status = 'received'")
    heard = company.rows("select event, status from githubsync_delivery where polled = ?", False)
    assert {"issues", "pull_request_review", "status", "repository", "push"} <= {row["event"] for row in heard}
    assert {row["status"] for row in heard} <= {"done", "ignored"}
    assert company.says_yes("select count(*) = 0 from githubsync_delivery where polled = ?", True)
    assert company.stop() == 0
