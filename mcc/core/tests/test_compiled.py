"""Queries that are compiled once give what the ORM gives, for whatever values they are asked with."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db.models import Count, OuterRef, QuerySet, Subquery

from mcc.core.compiled import compiled
from mcc.core.models import Event, Stream

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 27, 12, 0, 0, 250, tzinfo=UTC)
WRITTEN: list[str] = []


def by_the_orm(name: str, since: datetime, after: int) -> QuerySet[Event]:
    WRITTEN.append(name)
    later = Event.objects.filter(stream=OuterRef("stream"), seq__gt=after).order_by().values("stream")
    count = Subquery(later.annotate(count=Count("pk")).values("count"))
    events = Event.objects.filter(stream__name=name, at__gte=since, kind="k").annotate(later=count)
    return events.order_by("seq").values_list("seq", "kind", "later")


by_hand = compiled(by_the_orm)


@pytest.fixture
def streams() -> None:
    for name in ("a", "?0", "100 %s"):
        stream = Stream.objects.create(name=name)
        for seq in range(4):
            event = Event.objects.create(stream=stream, seq=seq, kind="k", data={})
            Event.objects.filter(pk=event.pk).update(at=NOON + timedelta(hours=seq))


@pytest.mark.parametrize("name", ["a", "?0", "100 %s", "none", "'; --"])
@pytest.mark.parametrize("hours", [0, 2, 9])
def test_rows_are_those_of_the_orm(streams, name, hours):
    since = NOON + timedelta(hours=hours)

    assert by_hand(name, since, after=1) == list(by_the_orm(name, since, 1))


def test_the_query_is_written_once(streams):
    by_hand("a", NOON, 1)
    WRITTEN.clear()

    assert [len(by_hand("a", NOON + timedelta(hours=hours), after=2)) for hours in range(3)] == [4, 3, 2]
    assert WRITTEN == []


def test_one_value_may_stand_in_several_places(streams):
    @compiled
    def twice(number: int) -> QuerySet[Event]:
        return Event.objects.filter(seq=number, stream__seq__lte=number).order_by("pk").values_list("seq")

    assert twice(0) == [(0,)] * 3
    assert twice(number=1) == [(1,)] * 3


def test_a_parameter_that_has_no_place_in_the_query_is_an_error(streams):
    @compiled
    def deaf(name: str, seq: int) -> QuerySet[Event]:
        return Event.objects.filter(stream__name=name, seq__in=[seq + 1]).values_list("seq")

    with pytest.raises(TypeError, match="has no place for seq"):
        deaf("a", 2)
    with pytest.raises(TypeError):
        by_hand("a")
