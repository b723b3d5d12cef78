"""Commits, refs, files and what CI says of them as GitHub's JSON."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import quote

from githubsync.simulator.bare import FileFacts
from githubsync.simulator.shapes.apps import Apps
from githubsync.simulator.shapes.basics import Json, node, stamp
from githubsync.simulator.things import Account, CheckRun, Repo, Status


class Code(Apps):
    def commit(self, repo: Repo, sha: str) -> Json:
        facts, root = repo.bare.facts(sha), self.repo_url(repo)
        html = f"{self.web}/{repo.full_name}/commit"
        people = ("name", "email", "date")
        unsigned = {"verified": False, "reason": "unsigned", "payload": None, "signature": None, "verified_at": None}
        inner = {
            "url": f"{root}/git/commits/{sha}",
            "author": dict(zip(people, facts.author, strict=True)),
            "committer": dict(zip(people, facts.committer, strict=True)),
            "message": facts.message,
            "comment_count": 0,
            "tree": {"sha": facts.tree, "url": f"{root}/git/trees/{facts.tree}"},
            "verification": unsigned,
        }
        return {
            "url": f"{root}/commits/{sha}",
            "sha": sha,
            "node_id": node("Commit", repo.id) + sha,
            "html_url": f"{html}/{sha}",
            "comments_url": f"{root}/commits/{sha}/comments",
            "commit": inner,
            "author": None,
            "committer": None,
            "parents": [
                {"sha": parent, "url": f"{root}/commits/{parent}", "html_url": f"{html}/{parent}"}
                for parent in facts.parents
            ],
        }

    def ref(self, repo: Repo, name: str, sha: str) -> Json:
        root = self.repo_url(repo)
        target = {"sha": sha, "type": "commit", "url": f"{root}/git/commits/{sha}"}
        return {"ref": name, "node_id": node("Ref", repo.id) + name, "url": f"{root}/git/{name}", "object": target}

    def file(self, repo: Repo, head: str, file: FileFacts) -> Json:
        root, html = self.repo_url(repo), f"{self.web}/{repo.full_name}"
        shape = {
            "sha": file.oid,
            "filename": file.path,
            "status": file.status,
            "additions": file.additions,
            "deletions": file.deletions,
            "changes": file.additions + file.deletions,
            "blob_url": f"{html}/blob/{head}/{quote(file.path)}",
            "raw_url": f"{html}/raw/{head}/{quote(file.path)}",
            "contents_url": f"{root}/contents/{quote(file.path)}?ref={head}",
        }
        return shape | {"previous_filename": file.old_path} if file.old_path else shape

    def app(self, account: Account, born: datetime) -> Json:
        return {
            "id": account.id,
            "slug": account.login,
            "node_id": node("App", account.id),
            "owner": self.user(account),
            "name": account.login,
            "description": None,
            "external_url": self.web,
            "html_url": f"{self.web}/github-apps/{account.login}",
            "created_at": stamp(born),
            "updated_at": stamp(born),
            "permissions": {"checks": "write"},
            "events": [],
        }

    def check_run(self, repo: Repo, run: CheckRun) -> Json:
        url = f"{self.repo_url(repo)}/check-runs/{run.id}"
        output = run.fields.get("output") or {}
        where = "runs" if run.log is None else f"actions/runs/{run.id}/job"
        return {
            "id": run.id,
            "name": run.name,
            "node_id": node("CheckRun", run.id),
            "head_sha": run.sha,
            "external_id": run.fields.get("external_id", ""),
            "url": url,
            "html_url": f"{self.web}/{repo.full_name}/{where}/{run.id}",
            "details_url": run.fields.get("details_url"),
            "status": run.fields["status"],
            "conclusion": run.fields.get("conclusion"),
            "started_at": run.fields.get("started_at"),
            "completed_at": run.fields.get("completed_at"),
            "output": {
                "title": output.get("title"),
                "summary": output.get("summary"),
                "text": output.get("text"),
                "annotations_count": len(output.get("annotations", [])),
                "annotations_url": f"{url}/annotations",
            },
            "check_suite": {"id": repo.suite_of(run)[0].id},
            "app": self.integration(run.maker) if run.maker else self.app(run.app, repo.created_at),
            "pull_requests": [],
        }

    def status(self, repo: Repo, status: Status, *, with_creator: bool = True) -> Json:
        shape: Json = {
            "url": f"{self.repo_url(repo)}/statuses/{status.sha}",
            "avatar_url": f"{self.web}/avatars/u/{status.creator.id}",
            "id": status.id,
            "node_id": node("StatusContext", status.id),
            "state": status.state,
            "description": status.description,
            "target_url": status.target_url,
            "context": status.context,
            "created_at": stamp(status.at),
            "updated_at": stamp(status.at),
        }
        return shape | {"creator": self.user(status.creator)} if with_creator else shape
