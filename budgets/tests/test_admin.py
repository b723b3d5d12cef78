import pytest
from django.apps import apps
from django.contrib import admin
from django.urls import reverse
from django.utils import timezone

from budgets.models import Account, Bucket, Hold, Limit, Price
from budgets.services import deciding, ledger, price_list, reconciling
from budgets.tests.factories import limited, make_account, make_hold, make_price, spend

pytestmark = pytest.mark.django_db
WRITABLE = {Account, Limit, Price}
SHOWN = [model for model in apps.get_app_config("budgets").get_models() if model in admin.site._registry]
READ_ONLY = [model for model in SHOWN if model not in WRITABLE]


def address(model, page: str, *keys: int) -> str:
    return reverse(f"admin:budgets_{model._meta.model_name}_{page}", args=keys)


@pytest.mark.parametrize("model", READ_ONLY, ids=lambda model: model.__name__)
def test_nobody_adds_changes_or_deletes_a_line_of_the_books(model, admin_client, admin_user) -> None:
    spend(limited(10), cost=10)
    reconciling.compare("acme", 10)
    lost = make_hold(at=timezone.now() - 2 * Hold.LONG)
    ledger.lose(lost)
    deciding.decide(lost, "nothing_sent", reason="seen in a log", user=admin_user)
    row = model.objects.first()

    assert admin_client.get(address(model, "changelist")).status_code == 200
    assert admin_client.get(address(model, "change", row.pk)).status_code == 200
    assert admin_client.post(address(model, "change", row.pk), {}).status_code == 403
    assert admin_client.get(address(model, "add")).status_code == 403
    assert admin_client.post(address(model, "delete", row.pk), {"post": "yes"}).status_code == 403


def test_a_limit_saved_in_the_admin_counts_what_was_spent(admin_client) -> None:
    account = make_account()
    spend(account, cost=30)

    answer = admin_client.post(
        address(Limit, "add"),
        {"account": account.pk, "period": "total", "amount_nanousd": 100, "warn_ratio": "0.80", "action": "block"},
    )

    assert answer.status_code == 302
    assert Bucket.objects.get().spent_nanousd == 30


def test_a_limit_changed_in_the_admin_keeps_its_bucket(admin_client) -> None:
    account = limited(100)
    limit = account.limits.get()

    answer = admin_client.post(
        address(Limit, "change", limit.pk), {"amount_nanousd": 50, "warn_ratio": "0.50", "action": "warn"}
    )

    assert answer.status_code == 302
    assert list(Limit.objects.values_list("pk", "amount_nanousd", "action")) == [(limit.pk, 50, "warn")]
    assert Bucket.objects.count() == 1


def test_spending_is_stopped_and_allowed_again_from_the_list(admin_client) -> None:
    account = make_account()

    for action, frozen in (("freeze", True), ("thaw", False)):
        admin_client.post(address(Account, "changelist"), {"action": action, "_selected_action": [account.pk]})
        account.refresh_from_db()
        assert account.is_frozen == frozen


def test_a_limit_is_taken_away_from_the_list(admin_client) -> None:
    limit = limited(100).limits.get()

    admin_client.post(address(Limit, "changelist"), {"action": "clear", "_selected_action": [limit.pk]})

    limit.refresh_from_db()
    assert not limit.active


def test_prices_and_their_history_can_be_read_and_not_changed(admin_client) -> None:
    price = make_price()
    price_list.revise(price.provider, {price.model: price.amounts})

    page = admin_client.get(address(Price, "change", price.pk))
    change = admin_client.post(address(Price, "change", price.pk), {"input_nanousd_per_mtok": 1})

    assert (page.status_code, change.status_code) == (200, 403)
    assert price.versions.get().amounts == price.amounts
