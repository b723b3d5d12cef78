"""Issues, comments, labels, pull requests and reviews as GitHub's JSON."""

from __future__ import annotations

from urllib.parse import quote

from githubsync.simulator.shapes.basics import Basics, Json, node, stamp
from githubsync.simulator.things import Account, Comment, Issue, Label, Mark, Pull, Repo, Review, now

REACTIONS = ("+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes")


class Work(Basics):
    def label(self, repo: Repo, label: Label) -> Json:
        return {
            "id": label.id,
            "node_id": node("Label", label.id),
            "url": f"{self.repo_url(repo)}/labels/{quote(label.name)}",
            "name": label.name,
            "color": label.color,
            "default": False,
            "description": label.description,
            "archived_at": None,
            "archived_by": None,
        }

    def labels_of(self, repo: Repo, issue: Issue) -> list[Json]:
        return [self.label(repo, label) for label in repo.labels if label.name in issue.labels]

    def association(self, repo: Repo, account: Account) -> str:
        if account.id == repo.owner.id:
            return "OWNER"
        return "COLLABORATOR" if account.id in repo.collaborators else "NONE"

    def comment(self, repo: Repo, issue: Issue, comment: Comment) -> Json:
        return {
            "id": comment.id,
            "node_id": node("IssueComment", comment.id),
            "url": f"{self.repo_url(repo)}/issues/comments/{comment.id}",
            "html_url": f"{self._html(repo, issue)}#issuecomment-{comment.id}",
            "issue_url": f"{self.repo_url(repo)}/issues/{issue.number}",
            "body": comment.body,
            "performed_via_github_app": None,
            "reactions": self._reactions(f"{self.repo_url(repo)}/issues/comments/{comment.id}", comment),
            "user": self.user(comment.author),
            "author_association": self.association(repo, comment.author),
            "created_at": stamp(comment.created_at),
            "updated_at": stamp(comment.updated_at),
        }

    def mark(self, repo: Repo, event: Mark) -> Json:
        color = next((label.color for label in repo.labels if label.name == event.label), "ededed")
        about: Json = {"label": {"name": event.label, "color": color}}
        if event.assignee:
            about = {"assignee": self.user(event.assignee)}
        if event.rename:
            about = {"rename": {"from": event.rename[0], "to": event.rename[1]}}
        kind = "AssignedEvent" if event.assignee else "RenamedTitleEvent" if event.rename else "LabeledEvent"
        return {
            "id": event.id,
            "node_id": node(kind, event.id),
            "url": f"{self.repo_url(repo)}/issues/events/{event.id}",
            "actor": self.user(event.actor),
            "event": event.event,
            "commit_id": None,
            "commit_url": None,
            "created_at": stamp(event.at),
            "performed_via_github_app": None,
            **about,
        }

    def _reactions(self, url: str, comment: Comment | None = None) -> Json:
        """How often each was given."""
        given = [content for _, content in comment.reactions] if comment else []
        counted = {content: given.count(content) for content in REACTIONS}
        return {"url": f"{url}/reactions", "total_count": len(given), **counted}

    def reaction(self, account: Account, number: int, content: str) -> Json:
        about = {"user": self.user(account), "content": content, "created_at": stamp(now())}
        return {"id": number, "node_id": node("Reaction", number), **about}

    def _html(self, repo: Repo, issue: Issue) -> str:
        return f"{self.web}/{repo.full_name}/{'pull' if issue.pull else 'issues'}/{issue.number}"

    def _about(self, repo: Repo, issue: Issue) -> Json:
        """What an issue and a pull request have in common."""
        return {
            "number": issue.number,
            "html_url": self._html(repo, issue),
            "state": issue.state,
            "title": issue.title,
            "body": issue.body,
            "user": self.user(issue.author),
            "labels": self.labels_of(repo, issue),
            "assignee": self.user(issue.assignees[0]) if issue.assignees else None,
            "assignees": [self.user(account) for account in issue.assignees],
            "milestone": None,
            "locked": False,
            "author_association": self.association(repo, issue.author),
            "created_at": stamp(issue.created_at),
            "updated_at": stamp(issue.updated_at),
            "closed_at": stamp(issue.closed_at),
        }

    def issue(self, repo: Repo, issue: Issue) -> Json:
        url = f"{self.repo_url(repo)}/issues/{issue.number}"
        shape = {
            **self._about(repo, issue),
            "id": issue.id,
            "node_id": node("Issue", issue.id),
            "url": url,
            "repository_url": self.repo_url(repo),
            "labels_url": f"{url}/labels{{/name}}",
            "comments_url": f"{url}/comments",
            "events_url": f"{url}/events",
            "comments": len(issue.comments),
            "active_lock_reason": None,
            "reactions": self._reactions(url),
            "closed_by": self.user(issue.closed_by) if issue.closed_by else None,
        }
        if issue.pull:
            html = self._html(repo, issue)
            urls = {"url": f"{self.repo_url(repo)}/pulls/{issue.number}", "html_url": html}
            more = {"diff_url": f"{html}.diff", "patch_url": f"{html}.patch", "merged_at": stamp(issue.pull.merged_at)}
            shape |= {"pull_request": {**urls, **more}, "draft": issue.pull.draft}
        return shape

    def pull(self, repo: Repo, issue: Issue, pull: Pull, *, whole: bool = False) -> Json:
        url, html, root = f"{self.repo_url(repo)}/pulls/{issue.number}", self._html(repo, issue), self.repo_url(repo)
        linked = {
            "self": url,
            "html": html,
            "issue": f"{root}/issues/{issue.number}",
            "comments": f"{root}/issues/{issue.number}/comments",
            "review_comments": f"{url}/comments",
            "review_comment": f"{root}/pulls/comments{{/number}}",
            "commits": f"{url}/commits",
            "statuses": f"{root}/statuses/{pull.head_sha}",
        }
        shape: Json = {
            **self._about(repo, issue),
            "id": pull.id,
            "node_id": node("PullRequest", pull.id),
            "url": url,
            "diff_url": f"{html}.diff",
            "patch_url": f"{html}.patch",
            **{f"{name}_url": to for name, to in linked.items() if name not in ("self", "html")},
            "_links": {name: {"href": to} for name, to in linked.items()},
            "draft": pull.draft,
            "merged_at": stamp(pull.merged_at),
            "merge_commit_sha": pull.merged_sha,
            "requested_reviewers": [],
            "requested_teams": [],
            "head": self._end(pull.fork or repo, pull.head_ref, pull.head_sha),
            "base": self._end(repo, pull.base_ref, pull.base_sha),
            "auto_merge": None,
            "active_lock_reason": None,
        }
        return shape | self._measured(repo, issue, pull) if whole else shape

    def _end(self, repo: Repo, ref: str, sha: str) -> Json:
        label = f"{repo.owner.login}:{ref}"
        return {"label": label, "ref": ref, "sha": sha, "user": self.user(repo.owner), "repo": self.repo(repo)}

    def _measured(self, repo: Repo, issue: Issue, pull: Pull) -> Json:
        """What GitHub works out for a single pull request only."""
        base = repo.bare.merge_base(pull.base_sha, pull.head_sha) or pull.base_sha
        files = repo.bare.files(base, pull.head_sha)
        mergeable = issue.state == "open" and repo.bare.merged_tree(pull.base_sha, pull.head_sha) is not None
        state = "draft" if pull.draft else "clean"
        return {
            "merged": pull.merged_at is not None,
            "mergeable": mergeable if issue.state == "open" else None,
            "rebaseable": None,
            "mergeable_state": "unknown" if issue.state == "closed" else state if mergeable else "dirty",
            "merged_by": self.user(pull.merged_by) if pull.merged_by else None,
            "comments": len(issue.comments),
            "review_comments": sum(len(review.comments) for review in pull.reviews),
            "maintainer_can_modify": False,
            "commits": repo.bare.count(f"{base}..{pull.head_sha}"),
            "additions": sum(file.additions for file in files),
            "deletions": sum(file.deletions for file in files),
            "changed_files": len(files),
        }

    def review(self, repo: Repo, issue: Issue, review: Review) -> Json:
        html = f"{self._html(repo, issue)}#pullrequestreview-{review.id}"
        url = f"{self.repo_url(repo)}/pulls/{issue.number}"
        return {
            "id": review.id,
            "node_id": node("PullRequestReview", review.id),
            "user": self.user(review.author),
            "body": review.body,
            "state": review.state,
            "html_url": html,
            "pull_request_url": url,
            "_links": {"html": {"href": html}, "pull_request": {"href": url}},
            "submitted_at": stamp(review.at),
            "commit_id": review.commit,
            "author_association": self.association(repo, review.author),
        }

    def review_comment(self, repo: Repo, issue: Issue, review: Review, comment: Json) -> Json:
        pull_url = f"{self.repo_url(repo)}/pulls/{issue.number}"
        url = f"{self.repo_url(repo)}/pulls/comments/{comment['id']}"
        html = f"{self._html(repo, issue)}#discussion_r{comment['id']}"
        return {
            "id": comment["id"],
            "node_id": node("PullRequestReviewComment", comment["id"]),
            "url": url,
            "html_url": html,
            "pull_request_url": pull_url,
            **({"in_reply_to_id": comment["in_reply_to_id"]} if "in_reply_to_id" in comment else {}),
            "pull_request_review_id": review.id,
            "diff_hunk": "@@",
            "path": comment["path"],
            "line": comment.get("line"),
            "original_line": comment.get("line"),
            **dict.fromkeys(("start_line", "original_start_line", "start_side")),
            "position": 1,
            "original_position": 1,
            "side": comment.get("side", "RIGHT"),
            "commit_id": review.commit,
            "original_commit_id": review.commit,
            "user": self.user(review.author),
            "body": comment["body"],
            "reactions": self._reactions(url),
            "created_at": stamp(review.at),
            "updated_at": stamp(review.at),
            "author_association": self.association(repo, review.author),
            "_links": {"self": {"href": url}, "html": {"href": html}, "pull_request": {"href": pull_url}},
        }
