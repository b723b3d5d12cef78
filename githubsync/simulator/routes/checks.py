"""What CI says of a commit: check runs, which only apps make, and statuses, which everybody may."""

from typing import Any

from githubsync.simulator.routing import REPO, Answer, Call, Refusal, invalid, route
from githubsync.simulator.shapes.basics import stamp
from githubsync.simulator.things import CheckRun, Status, now

STATES = ("error", "failure", "pending", "success")
MOST_ANNOTATIONS = 50
FIELDS = ("status", "conclusion", "details_url", "external_id", "started_at", "completed_at", "output")


@route("GET", REPO + "/commits/{ref}/check-runs", needs="checks:read")
def listed(call: Call, ref: str) -> Answer:
    sha = call.commit(ref)
    name = call.query.get("check_name")
    found = [run for run in call.repo.check_runs if run.sha == sha and name in (None, run.name)]
    if call.query.get("filter", "latest") == "latest":
        found = list({(run.app.id, run.name): run for run in found}.values())
    chosen, headers = call.page(found)
    body = {"total_count": len(found), "check_runs": [call.shapes.check_run(call.repo, run) for run in chosen]}
    return Answer(200, body, headers)


def _set(call: Call, run: CheckRun) -> None:
    given = {name: call.body[name] for name in FIELDS if name in call.body}
    if "conclusion" in given:
        given["status"] = "completed"
    if given.get("status") == "completed" and not {**run.fields, **given}.get("conclusion"):
        raise invalid("CheckRun", field="conclusion", code="missing_field")
    if len((given.get("output") or {}).get("annotations", [])) > MOST_ANNOTATIONS:
        raise invalid("CheckRun", field="annotations", message="Only 50 annotations are allowed at a time.")
    # A later request adds annotations to those before it, and replaces everything else.
    before = (run.fields.get("output") or {}).get("annotations", [])
    usual: dict[str, Any] = {"status": "queued", "started_at": stamp(now())}
    usual["details_url"] = run.maker.url if run.maker else call.shapes.web
    if "conclusion" in given:
        usual["completed_at"] = stamp(now())
    run.fields = {**usual, **run.fields, **given}
    if run.fields["status"] != "completed":
        run.fields |= dict.fromkeys(("conclusion", "completed_at"))
    if "output" in given:
        run.fields["output"] = {**given["output"], "annotations": before + given["output"].get("annotations", [])}


def _tell(call: Call, run: CheckRun, action: str) -> None:
    """GitHub tells of a run when it is made and when it is over, and of the App's suite when all of it is."""
    over = run.fields["status"] == "completed"
    for happened in filter(None, (action, "completed" if over else "")):
        call.tell("check_run", happened, run=run)
    if over and call.repo.conclusion_of(call.repo.suite_of(run)):
        call.tell("check_suite", "completed", run=run)
        if run.log is not None:
            call.tell("workflow_run", "completed", run=run)


@route("POST", REPO + "/check-runs", needs="checks:write")
def create(call: Call) -> Answer:
    if not call.token.is_app:
        raise Refusal(403, "You must authenticate via a GitHub App.")
    sha = call.commit(call.text("head_sha", "CheckRun"))
    run = CheckRun(call.world.next_id(), call.account, call.text("name", "CheckRun"), sha)
    run.maker = call.token.installation.app if call.token.installation else None
    _set(call, run)
    call.repo.check_runs.append(run)
    _tell(call, run, "created")
    return Answer(201, call.shapes.check_run(call.repo, run))


@route("PATCH", REPO + "/check-runs/{check_run_id}", needs="checks:write")
def update(call: Call, check_run_id: str) -> Answer:
    run = next((run for run in call.repo.check_runs if str(run.id) == check_run_id), None)
    if run is None:
        raise Refusal(404, "Not Found")
    if run.app is not call.account:
        raise Refusal(403, "Invalid app_id `%s` - check run can only be modified by the GitHub App that created it.")
    _set(call, run)
    _tell(call, run, "")
    return Answer(200, call.shapes.check_run(call.repo, run))


@route("POST", REPO + "/check-runs/{check_run_id}/rerequest", needs="checks:write")
def rerequest(call: Call, check_run_id: str) -> Answer:
    """Changes nothing of the run: its App is told, and decides."""
    run = next((run for run in call.repo.check_runs if str(run.id) == check_run_id), None)
    if run is None:
        raise Refusal(404, "Not Found")
    call.tell("check_run", "rerequested", run=run)
    return Answer(201, {})


@route("POST", REPO + "/check-suites/{check_suite_id}/rerequest", needs="checks:write")
def rerequest_suite(call: Call, check_suite_id: str) -> Answer:
    found = [run for run in call.repo.check_runs if str(call.repo.suite_of(run)[0].id) == check_suite_id]
    if not found:
        raise Refusal(404, "Not Found")
    call.tell("check_suite", "rerequested", run=found[0])
    return Answer(201, {})


@route("GET", REPO + "/check-runs/{check_run_id}/annotations", needs="checks:read")
def annotations(call: Call, check_run_id: str) -> Answer:
    run = next((run for run in call.repo.check_runs if str(run.id) == check_run_id), None)
    if run is None:
        raise Refusal(404, "Not Found")
    notes = (run.fields.get("output") or {}).get("annotations", [])
    chosen, headers = call.page(notes)
    unsaid = dict.fromkeys(("start_column", "end_column", "title", "raw_details"))
    return Answer(200, [{**unsaid, **note, "blob_href": call.shapes.repo_url(call.repo)} for note in chosen], headers)


@route("GET", REPO + "/commits/{ref}/status", needs="statuses:read")
def combined(call: Call, ref: str) -> Answer:
    repo, shapes, sha = call.repo, call.shapes, call.commit(ref)
    latest = {status.context: status for status in repo.statuses if status.sha == sha}
    states = {status.state for status in latest.values()}
    # Without any status it says "pending" too: whoever asks has to look at total_count.
    state = "failure" if states & {"error", "failure"} else "success" if states == {"success"} else "pending"
    url = f"{shapes.repo_url(repo)}/commits/{sha}"
    body = {
        "state": state,
        "statuses": [shapes.status(repo, status, with_creator=False) for status in latest.values()],
        "sha": sha,
        "total_count": len(latest),
        "repository": shapes.repo(repo),
        "commit_url": url,
        "url": f"{url}/status",
    }
    return Answer(200, body)


@route("POST", REPO + "/statuses/{sha}", needs="statuses:write")
def report(call: Call, sha: str) -> Answer:
    state = call.text("state", "Status")
    if state not in STATES:
        raise invalid("Status", field="state", code="invalid")
    world, body = call.world, call.body
    context = body.get("context", "default")
    about = (body.get("description"), body.get("target_url"))
    status = Status(world.next_id(), call.account, call.commit(sha), state, context, *about)
    call.repo.statuses.append(status)
    call.tell("status", None, status=status)
    return Answer(201, call.shapes.status(call.repo, status))
