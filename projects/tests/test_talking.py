"""Who hears what is said about an issue."""

import pytest

from agents.models import Purpose, Role
from mcc.core.errors import InvalidInput, NotAllowed
from projects.errors import NothingThere
from projects.services import talking
from projects.tests import factories, talk

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner():
    return factories.user()


@pytest.fixture
def issue(owner):
    return factories.planned(factories.project(owner=owner))


@pytest.fixture
def architect(issue):
    return talk.run_on(issue, role=Role.ARCHITECT, purpose=Purpose.PLAN)


@pytest.fixture
def coder(issue, architect):
    return talk.run_on(issue, issue.tasks.get())


def test_who_worked_last_hears_what_is_addressed_to_nobody(issue, coder, owner):
    said = talking.say(issue, "Hello.", user=owner)
    assert (said.run, said.user, said.content) == (coder, owner, "Hello.")


def test_the_name_or_role_at_the_beginning_chooses_and_then_the_field(issue, coder, architect, owner):
    assert talking.say(issue, "@architect why?", user=owner, to=coder.agent.name).run == architect
    assert talking.say(issue, f"@{coder.agent.name} why?", user=owner, to="architect").run == coder
    assert talking.say(issue, "why?", user=owner, to=architect.agent.name).run == architect


def test_an_agent_that_is_done_answers_in_a_run_of_its_own(issue, coder, owner):
    factories.finish(coder, "submitted")
    said = talking.say(issue, "And now?", user=owner)
    assert said.run != coder
    assert (said.run.purpose, said.run.agent, said.run.conversation) == ("chat", coder.agent, coder.conversation)
    assert set(said.run.accounts.all()) == set(coder.accounts.all()), "it is paid by whoever paid before"


def test_what_cannot_be_said_is_refused(issue, coder, owner):
    with pytest.raises(InvalidInput):
        talking.say(issue, " \n", user=owner)
    with pytest.raises(InvalidInput):
        talking.say(issue, "x" * 20_001, user=owner)
    with pytest.raises(NothingThere):
        talking.say(issue, "@nobody hello", user=owner)
    with pytest.raises(NotAllowed):
        talking.say(issue, "Hello.", user=factories.user())
    assert not coder.conversation.messages.filter(user__isnull=False).exists()


def test_nobody_hears_before_the_work_starts(owner):
    with pytest.raises(NothingThere):
        talking.say(factories.issue(factories.project(owner=owner), start=False), "Hello?", user=owner)


def test_colleagues_are_those_who_worked_the_last_one_first(issue, coder, architect):
    assert talking.colleagues(issue) == [coder.agent, architect.agent]
