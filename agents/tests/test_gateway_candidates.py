"""Who is asked, and how often the database is asked who that is."""

import pytest

from agents.errors import ModelUnavailable
from agents.gateway.candidate import accounts_of, candidates
from agents.models import Provider, Run
from agents.tests.calls import call_of, make_card, make_run

pytestmark = pytest.mark.django_db


@pytest.fixture
def run():
    provider = Provider.objects.create(name="acme", kind=Provider.Kind.OPENAI_COMPATIBLE, base_url="http://127.0.0.1:1")
    run = make_run(make_card(provider))
    # Not in the order of their keys, with one that is the model itself and one that is switched off.
    small, tiny = make_card(provider, "acme/small"), make_card(provider, "acme/tiny")
    off = make_card(provider, "acme/off")
    off.active = False
    off.save()
    run.agent.fallbacks.set([tiny, off, run.model, small])
    return Run.objects.select_related("agent__account", "model__provider", "model__price").get(pk=run.pk)


def test_the_models_are_asked_in_order_each_once(run):
    assert [model.model for model in candidates(call_of(run))] == ["acme/large", "acme/small", "acme/tiny"]


def test_without_a_usable_model_nobody_is_asked(run):
    run.agent.fallbacks.clear()
    run.model.active = False

    with pytest.raises(ModelUnavailable):
        candidates(call_of(run))


def test_the_second_step_of_a_run_asks_for_nothing(run, django_assert_num_queries):
    first = candidates(call_of(run)), accounts_of(call_of(run))

    with django_assert_num_queries(0):
        assert (candidates(call_of(run)), accounts_of(call_of(run))) == first
