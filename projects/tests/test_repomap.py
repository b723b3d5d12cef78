"""The map of a repository: what matters for the work comes first, within its room, and the second time quickly."""

import random

import pytest

from projects import ranking, repomap, symbols
from projects.forge import CloneSpec
from projects.git import Mirror
from projects.models import BlobTags
from projects.ranking import Interest, pagerank
from projects.symbols import Symbols
from projects.tests.repositories import atlas, place  # noqa: F401

pytestmark = pytest.mark.django_db

FILES = {
    "core/engine.py": "class RocketEngine(Base):\n    def ignite_slowly(self, x: int):\n        pass\n\n"
    "def _hidden():\n    ...\n",
    "core/tank.py": "class FuelTank:\n    def drain(self): ...\n",
    "app.py": "from core.engine import RocketEngine\nRocketEngine().ignite_slowly(1)\nRocketEngine()\n",
    "cli.py": "from core.engine import RocketEngine\nimport core.tank\n",
    "tests/test_engine.py": "def test_it():\n    RocketEngine()\n",
    "web/main.ts": "export function mountWidget(el) {}\nconst secret = 1\n",
    "README.md": "# class NotOne\n",
}


@pytest.fixture
def mirror(atlas) -> Mirror:  # noqa: F811
    sha = atlas.commit(FILES)
    mirror = Mirror(3)
    mirror.fetch_from(CloneSpec(str(atlas.path)))
    mirror.sha = sha
    return mirror


def read(files: dict[str, str]) -> dict[str, Symbols]:
    return dict(zip(files, symbols.find(list(files.items())), strict=True))


def first_names(interest: Interest) -> list[str]:
    found = read({path: text for path, text in FILES.items() if symbols.is_known(path)})
    return [definition.name for _, definition in ranking.ranked(found, interest)]


def test_definitions_and_uses_are_read_by_a_grammar():
    found = read(FILES)
    assert [(each.name, each.line, each.written) for each in found["core/engine.py"].definitions] == [
        ("RocketEngine", 1, "class RocketEngine(Base)"),
        ("ignite_slowly", 2, "def ignite_slowly(self, x: int)"),
        ("_hidden", 5, "def _hidden()"),
    ]
    assert "RocketEngine" not in found["core/engine.py"].references
    assert found["app.py"].references["RocketEngine"] == 3
    said = 'def real(): ...\n"""\ndef told(): ...\nRocketEngine\n"""  # RocketEngine\n'
    [only] = symbols.find([("said.py", said)])
    assert [each.name for each in only.definitions] == ["real"]
    assert "RocketEngine" not in only.references


def test_where_there_is_no_grammar_lines_that_look_like_it_are_read():
    [found] = symbols.find([("Engine.swift", "public final class RocketEngine {\n  func ignite() { Fuel() }\n}\n")])
    assert [(each.name, each.line, each.written) for each in found.definitions] == [
        ("RocketEngine", 1, "public final class RocketEngine")
    ]
    assert found.references["Fuel"] == 1


def test_what_many_use_comes_first_and_what_the_work_speaks_of_before_that():
    assert first_names(Interest())[0] == "RocketEngine"
    assert first_names(Interest())[-1] != "RocketEngine"
    assert first_names(Interest())[0] != "FuelTank"
    assert first_names(Interest.of("`FuelTank` leaks in core/tank.py"))[0] in ("FuelTank", "RocketEngine")
    tank = first_names(Interest.of("it leaks, see core/tank.py", ["cli.py"]))
    assert tank.index("FuelTank") < tank.index("mountWidget")


def test_ranks_add_up_and_go_where_the_arrows_point():
    edges = {"a": {"c": 1.0}, "b": {"c": 2.0}, "c": {}, "d": {"a": 1.0}}
    ranks = pagerank(edges, {})
    assert sum(ranks.values()) == pytest.approx(1)
    assert max(ranks, key=ranks.__getitem__) == "c"
    pulled = pagerank(edges, {"d": 1.0})
    assert pulled["d"] > ranks["d"]
    assert pulled["b"] == pytest.approx(0)
    assert pagerank({}, {}) == {}


def test_the_order_does_not_depend_on_the_order_of_the_files():
    found = read(FILES)
    shuffled = list(found.items())
    random.Random(7).shuffle(shuffled)
    assert ranking.ranked(found, Interest()) == ranking.ranked(dict(shuffled), Interest())


@pytest.mark.parametrize("tokens", [2_000, 8_000, 16_000, 200_000])
def test_the_room_follows_the_window(tokens):
    assert repomap.room(tokens) == min(max(tokens // 8, 1_000), 4_000) * 3


def test_the_map_fits_its_room_and_is_the_same_each_time(mirror):
    for characters in (200, 400, 4_000):
        drawn = repomap.draw(mirror, mirror.sha, characters)
        assert drawn == repomap.draw(mirror, mirror.sha, characters)
        assert len(drawn) < characters + 200
    assert "\ncore/engine.py: class RocketEngine(Base), def ignite_slowly(self, x: int), def _hidden()\n" in drawn


def test_what_was_read_once_is_remembered_by_its_content(mirror, atlas, django_assert_num_queries):  # noqa: F811
    before = repomap.draw(mirror, mirror.sha)
    kept = BlobTags.objects.count()
    assert kept >= 6
    mirror.texts = None  # a second look must not read anything
    with django_assert_num_queries(1):
        assert repomap.draw(mirror, mirror.sha) == before
    del mirror.texts
    sha = atlas.commit({"core/tank.py": "class Barrel: ...\n"})
    mirror.fetch_from(CloneSpec(str(atlas.path)))
    assert "class Barrel" in repomap.draw(mirror, sha)
    assert BlobTags.objects.count() == kept + 1


def test_hostile_text_takes_no_more_time_than_other():
    long = "def " * 40_000 + "\n" + "class " + "a" * 100_000 + "\n" + "func (" * 30_000
    paths = ("a.py", "a.go", "a.rs", "a.rb", "a.ts", "a.java", "a.swift")
    for found in symbols.find([(path, long[: symbols.LARGEST_READ]) for path in paths]):
        assert isinstance(found, Symbols)
        assert len(found.references) <= symbols.MOST_REFERENCES
