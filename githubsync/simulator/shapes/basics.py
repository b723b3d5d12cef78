"""Accounts and repositories as GitHub's JSON, and what every shape is built with."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from githubsync.simulator.things import Account, Repo, Token

Json = dict[str, Any]

USER_URLS = {
    "followers_url": "/followers",
    "following_url": "/following{/other_user}",
    "gists_url": "/gists{/gist_id}",
    "starred_url": "/starred{/owner}{/repo}",
    "subscriptions_url": "/subscriptions",
    "organizations_url": "/orgs",
    "repos_url": "/repos",
    "events_url": "/events{/privacy}",
    "received_events_url": "/received_events",
}
REPO_URLS = {
    "archive_url": "/{archive_format}{/ref}",
    "assignees_url": "/assignees{/user}",
    "blobs_url": "/git/blobs{/sha}",
    "branches_url": "/branches{/branch}",
    "collaborators_url": "/collaborators{/collaborator}",
    "comments_url": "/comments{/number}",
    "commits_url": "/commits{/sha}",
    "compare_url": "/compare/{base}...{head}",
    "contents_url": "/contents/{+path}",
    "contributors_url": "/contributors",
    "deployments_url": "/deployments",
    "downloads_url": "/downloads",
    "events_url": "/events",
    "forks_url": "/forks",
    "git_commits_url": "/git/commits{/sha}",
    "git_refs_url": "/git/refs{/sha}",
    "git_tags_url": "/git/tags{/sha}",
    "hooks_url": "/hooks",
    "issue_comment_url": "/issues/comments{/number}",
    "issue_events_url": "/issues/events{/number}",
    "issues_url": "/issues{/number}",
    "keys_url": "/keys{/key_id}",
    "labels_url": "/labels{/name}",
    "languages_url": "/languages",
    "merges_url": "/merges",
    "milestones_url": "/milestones{/number}",
    "notifications_url": "/notifications{?since,all,participating}",
    "pulls_url": "/pulls{/number}",
    "releases_url": "/releases{/id}",
    "stargazers_url": "/stargazers",
    "statuses_url": "/statuses/{sha}",
    "subscribers_url": "/subscribers",
    "subscription_url": "/subscription",
    "tags_url": "/tags",
    "teams_url": "/teams",
    "trees_url": "/git/trees{/sha}",
}
NONE_YET = ("forks_count", "stargazers_count", "watchers_count", "forks", "watchers", "size")


def stamp(moment: datetime | None) -> str | None:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None


def node(kind: str, number: int) -> str:
    """Return the id by which GraphQL knows an object."""
    return base64.b64encode(f"0{len(kind)}:{kind}{number}".encode()).decode()


class Basics:
    """``web`` is the address of the server, without a slash at the end."""

    def __init__(self, web: str) -> None:
        self.web = web
        self.api = f"{web}/api/v3"

    def page_url(self, path: str, query: dict[str, str], page: int) -> str:
        return self.query_url(path, {**query, "page": str(page)})

    def query_url(self, path: str, query: dict[str, str]) -> str:
        return f"{self.api}{path}?{urlencode(query)}"

    def user(self, account: Account) -> Json:
        url = f"{self.api}/users/{account.login}"
        return {
            "login": account.login,
            "id": account.id,
            "node_id": node("User", account.id),
            "avatar_url": f"{self.web}/avatars/u/{account.id}",
            "gravatar_id": "",
            "url": url,
            "html_url": f"{self.web}/{account.login}",
            **{name: url + suffix for name, suffix in USER_URLS.items()},
            "type": account.kind,
            "site_admin": False,
        }

    def me(self, account: Account, born: datetime) -> Json:
        """The account itself, as it sees itself."""
        unknown = dict.fromkeys(("company", "location", "email", "hireable", "bio"))
        counted = ("public_repos", "public_gists", "followers", "following", "private_gists", "total_private_repos")
        zeros = dict.fromkeys((*counted, "owned_private_repos", "disk_usage", "collaborators"), 0)
        born_at = {"created_at": stamp(born), "updated_at": stamp(born)}
        about = {"name": account.login, "blog": "", "two_factor_authentication": True}
        return {**self.user(account), **unknown, **zeros, **born_at, **about}

    def repo_url(self, repo: Repo) -> str:
        return f"{self.api}/repos/{repo.full_name}"

    def repo(self, repo: Repo, token: Token | None = None, *, whole: bool = False) -> Json:
        url, html = self.repo_url(repo), f"{self.web}/{repo.full_name}"
        opened = sum(issue.state == "open" for issue in repo.issues.values())
        shape: Json = {
            "id": repo.id,
            "node_id": node("Repository", repo.id),
            "name": repo.name,
            "full_name": repo.full_name,
            "private": repo.private,
            "visibility": "private" if repo.private else "public",
            "owner": self.user(repo.owner),
            "html_url": html,
            "description": None,
            "fork": repo.parent is not None,
            "url": url,
            **{name: url + suffix for name, suffix in REPO_URLS.items()},
            "clone_url": f"{html}.git",
            "git_url": html.replace("http", "git", 1) + ".git",
            "ssh_url": f"git@{self.web.partition('://')[2]}:{repo.full_name}.git",
            "svn_url": html,
            "mirror_url": None,
            "homepage": None,
            "language": None,
            "license": None,
            "topics": [],
            "default_branch": repo.default_branch,
            "archived": repo.archived,
            "disabled": False,
            "has_issues": True,
            "has_projects": False,
            "has_wiki": False,
            "has_pages": False,
            "has_discussions": False,
            "has_downloads": False,
            "allow_squash_merge": True,
            "allow_merge_commit": True,
            "allow_rebase_merge": True,
            **dict.fromkeys(NONE_YET, 0),
            "open_issues_count": opened,
            "open_issues": opened,
            "pushed_at": stamp(repo.pushed_at),
            "created_at": stamp(repo.created_at),
            "updated_at": stamp(repo.created_at),
        }
        if token is not None:
            steps = {"admin": "admin", "maintain": "maintain", "push": "write", "triage": "triage", "pull": "read"}
            # Of an App this says nothing: it may what its installation grants.
            allows = {name: not token.is_app and repo.allows(token.account, role) for name, role in steps.items()}
            shape["permissions"] = allows
        if whole:
            shape |= {"subscribers_count": 0, "network_count": 0}
            if repo.parent:
                shape |= dict.fromkeys(("parent", "source"), self.repo(repo.parent))
        return shape
