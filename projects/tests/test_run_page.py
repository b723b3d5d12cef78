"""The page of one run."""

import pytest

from agents.models import Outcome
from projects.tests import factories, talk

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("outcome", "words", "kind"),
    [
        (Outcome.SUBMITTED, "Submitted", "tag ok"),
        (Outcome.NO_CHANGE, "No Change", "tag"),
        (Outcome.LIMIT_STEPS, "Limit Steps", "tag bad"),
    ],
)
def test_the_head_of_a_finished_run_says_how_it_ended_and_after_how_many_steps(client, outcome, words, kind):
    issue = factories.planned()
    run = talk.run_on(issue, issue.tasks.get())
    for text in ("First.", "Second."):
        talk.answer(run, text)
    client.force_login(factories.user(is_superuser=True))
    assert 'class="ended"' not in client.get(f"/runs/{run.pk}/").content.decode()

    factories.finish(run, outcome)

    page = client.get(f"/runs/{run.pk}/").content.decode()
    head = page.partition(f'<header id="run-{run.pk}-head">')[2].partition("</header>")[0]
    assert f'<span class="ended"><span class="{kind}">{words}</span> 2 steps</span>' in head
