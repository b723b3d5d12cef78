"""A company to look at: a project, and people with every right in it."""

from dataclasses import dataclass

import pytest
from django.test import Client

from mcc.core.models import User
from projects.models import Membership, Project
from projects.tests import factories


@dataclass
class People:
    owner: User
    viewer: User
    stranger: User


@pytest.fixture
def people(db) -> People:
    return People(*(factories.user() for _ in range(3)))


@pytest.fixture
def project(people) -> Project:
    row = factories.project(owner=people.owner)
    Membership.objects.create(project=row, user=people.viewer, role=Membership.Role.VIEWER)
    return row


@pytest.fixture
def browse(client: Client):
    """Return a client that is logged in as somebody."""

    def as_(user: User) -> Client:
        client.force_login(user)
        return client

    return as_
