"""Jobs of GitHub Actions, which are check runs of its app, and their logs."""

from githubsync.simulator import storage
from githubsync.simulator.routing import REPO, Answer, Call, Refusal, route
from githubsync.simulator.shapes.basics import node, stamp
from githubsync.simulator.things import CheckRun

JOB = REPO + "/actions/jobs/{job_id}"


def _job(call: Call, job_id: str) -> CheckRun:
    found = next((run for run in call.repo.check_runs if run.id == int(job_id) and run.log is not None), None)
    if found is None:
        raise Refusal(404, "Not Found")
    return found


@route("GET", REPO + "/actions/runs", needs="actions:read")
def runs(call: Call) -> Answer:
    found = [run for run in call.repo.check_runs if run.log is not None]
    shown = [call.shapes.workflow_run(call.repo, run) for run in found]
    return Answer(200, {"total_count": len(found), "workflow_runs": shown})


@route("GET", JOB, needs="actions:read")
def job(call: Call, job_id: str) -> Answer:
    run, root = _job(call, job_id), call.shapes.repo_url(call.repo)
    at = stamp(call.repo.created_at)
    shown = call.shapes.check_run(call.repo, run)
    shape = {
        "id": run.id,
        "run_id": run.id,
        "run_url": f"{root}/actions/runs/{run.id}",
        "node_id": node("CheckRun", run.id),
        "head_sha": run.sha,
        "url": f"{root}/actions/jobs/{run.id}",
        "html_url": shown["html_url"],
        "status": shown["status"],
        "conclusion": shown["conclusion"],
        "created_at": at,
        "started_at": at,
        "completed_at": at if shown["status"] == "completed" else None,
        "name": run.name,
        "check_run_url": f"{root}/check-runs/{run.id}",
        "labels": ["ubuntu-latest"],
        **dict.fromkeys(("runner_id", "runner_name", "runner_group_id", "runner_group_name")),
        "workflow_name": "CI",
        "head_branch": None,
    }
    return Answer(200, shape)


@route("GET", JOB + "/logs", needs="actions:read")
def logs(call: Call, job_id: str) -> Answer:
    """A redirect to where the log can be read."""
    data = (_job(call, job_id).log or "").encode()
    place = storage.put(call.world, data)
    return Answer(302, None, {"Location": call.shapes.web.replace("127.0.0.1", storage.HOST) + place})
