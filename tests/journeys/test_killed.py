"""``kill -9`` for the whole company at the moments that hurt most: nothing is lost, and nothing happens twice."""

import pytest

from tests.journeys import auditor
from tests.journeys.company import Company

pytestmark = [pytest.mark.journey, pytest.mark.sandbox, pytest.mark.timeout(300)]

MOMENTS = {
    "the Architect plans": "select count(*) from agents_message where role = 'assistant'",
    "two Coders work side by side": """
        select count(*) = 2 from agents_run r where status = 'running' and purpose = 'implement'
        and exists (select 1 from agents_message m where m.run_id = r.id and m.role = 'tool')""",
    "checks run": "select count(*) from projects_check where status = 'running'",
    "a merge is carried out": "select count(*) from core_errand where kind = 'projects.merge' and status = 'running'",
}


def test_a_company_killed_at_every_stage_does_everything_once(company: Company):
    company.start()
    issue = company.demo_issue()
    [project] = company.rows("select repository from projects_project")
    base = auditor.git(project["repository"], "rev-parse", "main")
    company.call("POST", f"issues/{issue}/start/")

    kinds = []
    for moment in MOMENTS.values():
        kinds += company.see_through(issue, until=moment)
        company.kill()
        company.start()
    kinds += company.see_through(issue)

    assert sorted(kinds) == ["merge", "merge", "merge", "plan"]
    assert company.call("GET", f"issues/{issue}/")["status"] == "done"
    auditor.nothing_is_left_lying(company)
    auditor.journals_are_whole(company)
    auditor.every_step_is_charged_once(company)
    auditor.ledger_equals_the_bill(company)
    auditor.tasks_are_merged_once(company, issue, project["repository"], base)
    auditor.votes_are_for_what_was_merged(company, issue)
    auditor.moves_follow_each_other(company)
    auditor.streams_have_no_gaps(company)
    assert company.stop() == 0
    assert company.processes() == []
