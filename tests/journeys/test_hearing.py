"""How the company hears of GitHub: by webhooks alone, by asking alone, and of what was lost in a storm and a night."""

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.journeys import auditor
from tests.journeys.company import Company, wait_until
from tests.journeys.hub import Hub, link, running
from tests.journeys.victims import House, web, worker

pytestmark = [pytest.mark.journey, pytest.mark.sandbox, pytest.mark.timeout(600)]

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

    hub.judge(second, "build", "failure")
    third = reworked(company, second)
    hub.judge(third, "build", "success")
    company.wait_for("select count(*) from projects_outsidecheck where source = 'ci-app' and state = 'green'")

    hub.do("PATCH", "", {"name": "memos"})
    hub.repository = "ada/memos"
    assert company.see_through(issue) == ["merge"]

    assert_done_there(company, hub, issue)
    company.wait_for("select count(*) = 0 from githubsync_delivery where status = 'received'")
    heard = company.rows("select event, status from githubsync_delivery where polled = ?", False)
    assert {"issues", "pull_request_review", "check_run", "check_suite", "repository", "push"} <= {
        row["event"] for row in heard
    }
    assert {row["status"] for row in heard} <= {"done", "ignored"}
    assert company.says_yes("select count(*) = 0 from githubsync_delivery where polled = ?", True)
    assert company.stop() == 0


def test_a_repository_that_nothing_is_delivered_from_is_asked_and_comes_to_the_merge(company, hub):
    company.environment["MCC_POLL_INTERVAL_S"] = "1"
    company.start()
    link(company, hub, "token", "ls notes")

    hub.do("POST", "/issues", {"title": "Leave a note", "labels": ["mcc"]})
    company.tick("githubsync.tasks.poll")
    issue = merge_is_asked(company)
    red = head(company)
    hub.do("POST", f"/statuses/{red}", {"state": "failure", "context": "ci/theirs", "description": "1 failed"})
    company.tick("githubsync.tasks.poll")
    green = reworked(company, red)
    hub.do("POST", f"/statuses/{green}", {"state": "success", "context": "ci/theirs"})
    assert company.see_through(issue) == ["merge"]

    assert_done_there(company, hub, issue)
    assert company.says_yes("select count(*) = 0 from githubsync_delivery where polled = ?", False)
    assert company.stop() == 0


STORM = 500
A_SECOND = 100
DRIZZLE_A_SECOND = 10
MOST = 2_000


class Storm:
    """Comments on an issue, each of which GitHub delivers: a hundred a second, and then a drizzle until it may end."""

    def __init__(self, hub: Hub, issue: int) -> None:
        self._hub, self._issue = hub, issue
        self._may_end = threading.Event()
        self._thread = threading.Thread(target=self._blow)

    def __enter__(self) -> "Storm":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.may_end()
        self._thread.join()

    def may_end(self) -> None:
        self._may_end.set()

    def _blow(self) -> None:
        due = time.monotonic()
        with ThreadPoolExecutor(8) as people:
            for number in range(MOST):
                if number > STORM and self._may_end.is_set():
                    return
                people.submit(self._hub.do, "POST", f"/issues/{self._issue}/comments", {"body": f"Drop {number}."})
                due += 1 / (A_SECOND if number < STORM else DRIZZLE_A_SECOND)
                time.sleep(max(0.0, due - time.monotonic()))


def hooked(company: Company, hub: Hub) -> int:
    """Make a hook in the repository by hand, as one does who connected with a token; return GitHub's number for it."""
    [connection] = company.call("GET", "connections/")["results"]
    made = company.call("POST", f"connections/{connection['id']}/webhook/")
    config = {"url": made["url"], "secret": made["secret"], "content_type": "json"}
    return int(hub.do("POST", "/hooks", {"config": config, "events": ["*"]})["id"])


def sent(hub: Hub, hook: int) -> tuple[set[str], set[str]]:
    """Return the GUIDs of what GitHub sent that matters here: what was answered with 202, and what was not."""
    answered, lost = set(), set()
    for row in hub.pages(f"/hooks/{hook}/deliveries?per_page=100"):
        if row["event"] != "ping":
            (answered if row["status_code"] == 202 else lost).add(row["guid"].replace("-", ""))
    return answered, lost


def heard(company: Company, *, polled: bool) -> set[str]:
    """Return the GUIDs of what was delivered here, or fetched."""
    rows = company.rows("select guid from githubsync_delivery where polled = ? and event <> 'ping'", polled)
    return {str(row["guid"]).replace("-", "") for row in rows}


def counted(company: Company) -> int:
    return len(company.rows("select id from githubsync_delivery"))


def test_what_was_lost_in_a_storm_of_deliveries_and_a_night_without_anybody_is_got_back(company, hub):
    company.environment["MCC_POLL_INTERVAL_S"] = "0"
    company.start()
    link(company, hub, "token", "ls notes")
    hook = hooked(company, hub)
    hub.do("POST", "/issues", {"title": "A quiet one"})
    hub.do("POST", "/issues", {"title": "A note that waits", "labels": ["mcc"]})
    issue = merge_is_asked(company)

    with Storm(hub, 1) as storm:
        for blow in (worker, web):
            reached = counted(company) + 100
            company.wait_for("select count(*) >= ? from githubsync_delivery", reached)
            assert blow(House(company), random.Random(7))
        company.wait_for("select count(*) >= ? from githubsync_delivery", counted(company) + 50)
        storm.may_end()
    answered, lost = sent(hub, hook)
    assert len(answered) >= 250
    assert lost, "nothing was delivered while the web process was away"
    assert answered <= heard(company, polled=False)

    company.kill()
    hub.do("POST", "/issues", {"title": "Another note", "labels": ["mcc"]})
    wait_until(lambda: len(sent(hub, hook)[1]) > len(lost), 60)
    company.start()

    company.wait_for("select count(*) = 2 from githubsync_issuelink")
    company.wait_for("select count(*) = 0 from githubsync_delivery where status = 'received'")
    answered, lost = sent(hub, hook)
    fetched = heard(company, polled=True)
    assert fetched
    assert fetched <= lost, "what was answered has to be here"
    assert heard(company, polled=False) | fetched >= answered | lost, "something is missing"
    assert company.says_yes("select count(*) = 0 from githubsync_delivery where status = 'dead'")
    assert company.see_through(issue) == ["merge"]
    auditor.every_step_is_charged_once(company)
    assert company.stop() == 0
