"""What CI is made of beside check runs, as webhooks tell of it: the suite of an App's runs, and runs of workflows."""

from __future__ import annotations

from githubsync.simulator.shapes.basics import Json, node, stamp
from githubsync.simulator.shapes.code import Code
from githubsync.simulator.things import CheckRun, Repo

WORKFLOW = "CI"
UNKNOWN = "00000000-0000-0000-0000-000000000000"


class Ci(Code):
    def suite(self, repo: Repo, run: CheckRun) -> Json:
        """The suite of ``run`` as a run names it."""
        runs = repo.suite_of(run)
        conclusion = repo.conclusion_of(runs)
        return {
            "id": runs[0].id,
            "node_id": node("CheckSuite", runs[0].id),
            "head_branch": self._branch(repo, run),
            "head_sha": run.sha,
            "status": "completed" if conclusion else "in_progress",
            "conclusion": conclusion,
            "url": f"{self.repo_url(repo)}/check-suites/{runs[0].id}",
            "before": None,
            "after": run.sha,
            "pull_requests": [],
            "app": self.check_run(repo, run)["app"],
            "created_at": stamp(repo.created_at),
            "updated_at": stamp(repo.created_at),
        }

    def suite_itself(self, repo: Repo, run: CheckRun) -> Json:
        shape = self.suite(repo, run)
        more = {"check_runs_url": f"{shape['url']}/check-runs", "latest_check_runs_count": len(repo.suite_of(run))}
        return shape | more | {"head_commit": self._head_commit(repo, run.sha)}

    def workflow(self, repo: Repo) -> Json:
        url, html = f"{self.repo_url(repo)}/actions/workflows/{repo.id}", f"{self.web}/{repo.full_name}"
        return {
            "id": repo.id,
            "node_id": node("Workflow", repo.id),
            "name": WORKFLOW,
            "path": ".github/workflows/ci.yml",
            "state": "active",
            "created_at": stamp(repo.created_at),
            "updated_at": stamp(repo.created_at),
            "url": url,
            "html_url": f"{html}/blob/{repo.default_branch}/.github/workflows/ci.yml",
            "badge_url": f"{html}/workflows/{WORKFLOW}/badge.svg",
        }

    def workflow_run(self, repo: Repo, run: CheckRun) -> Json:
        suite, actor = self.suite(repo, run), self.user(repo.owner)
        url = f"{self.repo_url(repo)}/actions/runs/{suite['id']}"
        parts = ("jobs", "logs", "artifacts", "cancel", "rerun")
        kept = ("id", "head_branch", "head_sha", "status", "conclusion", "pull_requests", "created_at", "updated_at")
        return {
            **{name: suite[name] for name in kept},
            "node_id": node("WorkflowRun", suite["id"]),
            "name": WORKFLOW,
            "display_title": WORKFLOW,
            "path": ".github/workflows/ci.yml",
            "event": "push",
            "run_number": 1,
            "run_attempt": 1,
            "run_started_at": stamp(repo.created_at),
            "workflow_id": repo.id,
            "workflow_url": self.workflow(repo)["url"],
            "check_suite_id": suite["id"],
            "check_suite_node_id": suite["node_id"],
            "check_suite_url": suite["url"],
            "url": url,
            "html_url": f"{self.web}/{repo.full_name}/actions/runs/{suite['id']}",
            **{f"{name}_url": f"{url}/{name}" for name in parts},
            "previous_attempt_url": None,
            "referenced_workflows": [],
            "actor": actor,
            "triggering_actor": actor,
            "head_commit": self._head_commit(repo, run.sha),
            "repository": self.repo(repo),
            "head_repository": self.repo(repo),
        }

    def _branch(self, repo: Repo, run: CheckRun) -> str | None:
        return next((name for name, sha in repo.heads.items() if sha == run.sha), None)

    def _head_commit(self, repo: Repo, sha: str) -> Json:
        facts = repo.bare.facts(sha)
        people = [{"name": who[0], "email": who[1]} for who in (facts.author, facts.committer)]
        about = {"id": sha, "tree_id": facts.tree, "message": facts.message, "timestamp": facts.committer[2]}
        return about | {"author": people[0], "committer": people[1]}
