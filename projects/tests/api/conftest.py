from types import SimpleNamespace

import pytest
from django.core.cache import cache
from rest_framework.test import APIClient

from projects.models import Membership
from projects.tests import factories


@pytest.fixture(autouse=True)
def fresh_throttles():
    cache.clear()


@pytest.fixture
def as_user():
    """Return a client that is logged in as the given user."""

    def client_of(user):
        client = APIClient()
        client.force_authenticate(user)
        return client

    return client_of


@pytest.fixture
def cast(as_user):
    """Alice owns the project, Vic may look, Charlie is a stranger, Root administers."""

    people = {"alice": factories.user(), "vic": factories.user(), "charlie": factories.user()}
    project = factories.project(owner=people["alice"])
    Membership.objects.create(project=project, user=people["vic"], role=Membership.Role.VIEWER)
    return SimpleNamespace(**people, root=factories.user(is_superuser=True), project=project, call=as_user)
