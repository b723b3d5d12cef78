import re

import pytest

from projects import briefing
from projects.demo import story
from projects.demo.play import ORBIT
from projects.services import issues
from projects.tests import factories

pytestmark = pytest.mark.django_db


def test_the_play_is_for_the_demo_issue_and_not_for_those_after_it():
    project = factories.project()
    demo = factories.issue(project, title=story.TITLE, body=story.BODY)
    later = factories.issue(project, title="Write amounts in words")
    issues.complete(demo)
    assert re.search(ORBIT.matches, briefing.of_issue(demo))
    assert story.TITLE in briefing.of_issue(later), "what was decided before is told"
    assert not re.search(ORBIT.matches, briefing.of_issue(later))
