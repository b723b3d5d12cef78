"""A company that comes up goes on at once, whatever was lost when it went down."""

import pytest
from django_q.models import OrmQ, Schedule

from agents.models import Purpose, Run
from mcc.core.tests.machinery import Cluster, wait_until
from projects.tests import factories

pytestmark = pytest.mark.django_db(transaction=True)


def test_who_comes_up_looks_at_every_issue_and_does_not_wait_for_the_clock(tmp_path):
    factories.issue()
    OrmQ.objects.all().delete()  # whoever was killed had taken the doorbell
    Schedule.objects.all().delete()

    cluster = Cluster(tmp_path)
    try:
        wait_until(Run.objects.filter(purpose=Purpose.PLAN).exists, 60)
    finally:
        cluster.end()
