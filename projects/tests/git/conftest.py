from pathlib import Path

import pytest

from projects.forge import CloneSpec
from projects.git.mirror import Mirror
from projects.tests.repositories import PersonsRepository, atlas, place, server

__all__ = ["atlas", "place", "server"]


@pytest.fixture
def mirror(place: Path, atlas: PersonsRepository) -> Mirror:
    """The mirror of ``atlas``, fetched."""
    mirror = Mirror(1)
    mirror.fetch_from(CloneSpec(str(atlas.path)))
    return mirror
