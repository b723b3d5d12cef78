"""What happened, as the payloads of GitHub's webhooks."""

from __future__ import annotations

from typing import Any

from githubsync.simulator.apps import Installation
from githubsync.simulator.hooks import Hook
from githubsync.simulator.shapes.basics import Json, node
from githubsync.simulator.shapes.ci import Ci
from githubsync.simulator.shapes.hooks import Hooks
from githubsync.simulator.shapes.work import Work
from githubsync.simulator.things import NOTHING, Account, CheckRun, Comment, Issue, Label, Repo, Review, Status
from githubsync.simulator.world import Happening

MOST_COMMITS = 20


class Events(Work, Ci, Hooks):
    def payload(self, news: Happening) -> Json:
        """Return the payload of a webhook, as things are now."""
        tell = getattr(self, f"_of_{news.event}")
        body: Json = {"action": news.action} if news.action else {}
        if news.repo:
            body["repository"] = self.repo(news.repo)
            body |= tell(news.repo, **news.about)
        else:
            body |= tell(**news.about)
        body["sender"] = self.user(news.sender)
        if news.event == "push":
            body["pusher"] = {"name": news.sender.login, "email": _address(news.sender)}
        return body

    def installation_briefly(self, place: Installation) -> Json:
        return {"id": place.id, "node_id": node("IntegrationInstallation", place.id)}

    def _of_ping(self, repo: Repo | None = None, *, hook: Hook) -> Json:
        return {"zen": "Keep it logically awesome.", "hook_id": hook.id, "hook": self.hook_itself(hook)}

    def _of_installation(self, *, installation: Installation, repositories: list[Repo]) -> Json:
        names = ("id", "node_id", "name", "full_name", "private")
        rows = [{name: self.repo(repo)[name] for name in names} for repo in repositories]
        return {"installation": self.installation(installation), "repositories": rows}

    def _of_repository(self, repo: Repo, *, changes: Json | None = None, former_owner: Account | None = None) -> Json:
        if former_owner:
            changes = {"owner": {"from": {"user": self.user(former_owner)}}}
        return {"changes": changes} if changes else {}

    def _of_label(self, repo: Repo, *, label: Label, **more: object) -> Json:
        return {"label": self.label(repo, label), **more}

    def _of_issues(
        self, repo: Repo, *, issue: Issue, label: Label | None = None, assignee: Account | None = None, **more: object
    ) -> Json:
        about = {"label": self.label(repo, label)} if label else {}
        about |= {"assignee": self.user(assignee)} if assignee else {}
        return {"issue": self.issue(repo, issue), **about, **more}

    def _of_issue_comment(self, repo: Repo, *, issue: Issue, comment: Comment, **more: object) -> Json:
        return {"issue": self.issue(repo, issue), "comment": self.comment(repo, issue, comment), **more}

    def _of_pull_request(self, repo: Repo, *, issue: Issue, label: Label | None = None, **more: object) -> Json:
        about = {"label": self.label(repo, label)} if label else {}
        assert issue.pull
        pull = self.pull(repo, issue, issue.pull, whole=True)
        return {"number": issue.number, "pull_request": pull, **about, **more}

    def _of_pull_request_review(self, repo: Repo, *, issue: Issue, review: Review) -> Json:
        """Here a state is written in small letters."""
        assert issue.pull
        shape = self.review(repo, issue, review)
        shape["state"] = shape["state"].lower()
        return {"pull_request": self.pull(repo, issue, issue.pull), "review": shape}

    def _of_pull_request_review_comment(
        self, repo: Repo, *, issue: Issue, review: Review, comment: Json, **more: object
    ) -> Json:
        assert issue.pull
        shape = self.review_comment(repo, issue, review, comment)
        return {"pull_request": self.pull(repo, issue, issue.pull), "comment": shape, **more}

    def _of_pull_request_review_thread(self, repo: Repo, *, issue: Issue, review: Review, comment: Json) -> Json:
        assert issue.pull
        rows = [
            pair for pair in issue.pull.comments() if comment["id"] in (pair[1]["id"], pair[1].get("in_reply_to_id"))
        ]
        told = [self.review_comment(repo, issue, *pair) for pair in rows]
        thread = {"node_id": node("PullRequestReviewThread", comment["id"]), "comments": told}
        return {"pull_request": self.pull(repo, issue, issue.pull), "thread": thread}

    def _of_create(self, repo: Repo, *, branch: str) -> Json:
        about = {"master_branch": repo.default_branch, "description": None}
        return {"ref": branch, "ref_type": "branch", "pusher_type": "user", **about}

    def _of_delete(self, repo: Repo, *, branch: str) -> Json:
        return {"ref": branch, "ref_type": "branch", "pusher_type": "user"}

    def _of_push(self, repo: Repo, *, branch: str, before: str, after: str) -> Json:
        created, deleted = before == NOTHING, after == NOTHING
        commits = [] if deleted else [self._pushed(repo, sha) for sha in _new(repo, before, after)]
        moment = int(repo.created_at.timestamp())
        return {
            "ref": f"refs/heads/{branch}",
            "before": before,
            "after": after,
            "repository": self.repo(repo) | {"created_at": moment, "pushed_at": moment, "stargazers": 0},
            "created": created,
            "deleted": deleted,
            "forced": not (created or deleted) and not repo.bare.is_ancestor(before, after),
            "base_ref": None,
            "compare": f"{self.web}/{repo.full_name}/compare/{before[:12]}...{after[:12]}",
            "commits": commits,
            "head_commit": None if deleted else self._pushed(repo, after),
        }

    def _pushed(self, repo: Repo, sha: str) -> Json:
        facts = repo.bare.facts(sha)
        files = repo.bare.files(facts.parents[0], sha) if facts.parents else []
        people = [dict(zip(("name", "email", "date"), who, strict=True)) for who in (facts.author, facts.committer)]
        return {
            "id": sha,
            "tree_id": facts.tree,
            "distinct": True,
            "message": facts.message,
            "timestamp": facts.committer[2],
            "url": f"{self.web}/{repo.full_name}/commit/{sha}",
            "author": people[0],
            "committer": people[1],
            **{kind: [file.path for file in files if file.status == kind] for kind in ("added", "removed", "modified")},
        }

    def _of_check_run(self, repo: Repo, *, run: CheckRun) -> Json:
        return {"check_run": self.check_run(repo, run) | {"check_suite": self.suite(repo, run)}}

    def _of_check_suite(self, repo: Repo, *, run: CheckRun) -> Json:
        return {"check_suite": self.suite_itself(repo, run)}

    def _of_workflow_run(self, repo: Repo, *, run: CheckRun) -> Json:
        return {"workflow": self.workflow(repo), "workflow_run": self.workflow_run(repo, run)}

    def _of_status(self, repo: Repo, *, status: Status) -> Json:
        about: dict[str, Any] = self.status(repo, status)
        names = ("id", "avatar_url", "target_url", "context", "description", "state", "created_at", "updated_at")
        return {
            **{name: about[name] for name in names},
            "sha": status.sha,
            "name": repo.full_name,
            "commit": self.commit(repo, status.sha),
            "branches": [],
        }


def _new(repo: Repo, before: str, after: str) -> list[str]:
    """Return the commits that came with a push, oldest first."""
    base = before
    if before == NOTHING:
        default = repo.heads.get(repo.default_branch, after)
        base = repo.bare.merge_base(default, after) or default
    return list(reversed(repo.bare.log(f"{base}..{after}", MOST_COMMITS)))


def _address(account: Account) -> str:
    return f"{account.id}+{account.login}@users.noreply.github.com"
