"""Rows that are written by hand are the same as those of the ORM."""

import pytest
from django.db import IntegrityError, transaction
from django.forms.models import model_to_dict

from mcc.core import rows
from mcc.core.models import AuditEntry, Event, Stream

pytestmark = pytest.mark.django_db


def test_a_row_written_by_hand_reads_as_one_of_the_orm(django_user_model):
    user = django_user_model.objects.create_user("ann")
    fields = {"user": user, "action": "a.b", "subject": "x:1", "detail": {"ä": [1, None]}, "address": "::1"}
    by_hand, by_orm = AuditEntry(**fields), AuditEntry.objects.create(**fields)

    assert rows.insert(by_hand)

    found = AuditEntry.objects.get(pk=by_hand.pk)
    assert model_to_dict(found, exclude=["id"]) == model_to_dict(by_orm, exclude=["id"])
    assert found.at == by_hand.at >= by_orm.at
    with pytest.raises(TypeError, match="written once"):
        by_hand.save()


def test_a_conflict_is_an_error_or_an_answer():
    rows.insert(Stream(name="s", seq=1))

    with pytest.raises(IntegrityError), transaction.atomic():
        rows.insert(Stream(name="s", seq=2))
    assert not rows.insert(Stream(name="s", seq=2), ignore_conflicts=True)
    assert Stream.objects.get().seq == 1


def test_many_rows_take_one_statement(django_assert_num_queries):
    stream = Stream.objects.create(name="s", seq=3)
    events = [Event(stream=stream, seq=seq, kind="k", data={"n": seq}) for seq in (1, 2, 3)]

    with django_assert_num_queries(1):
        rows.insert_all(events)

    assert list(Event.objects.order_by("seq").values_list("seq", "data")) == [(n, {"n": n}) for n in (1, 2, 3)]
    rows.insert_all([])
