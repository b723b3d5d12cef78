"""What the log says when somebody is refused something."""

import pytest
from django.urls import reverse

pytestmark = pytest.mark.django_db


def test_a_refusal_is_one_line_without_a_traceback(client, django_user_model, caplog):
    client.force_login(django_user_model.objects.create_user("ada"))
    assert client.get(reverse("github:people")).status_code == 403
    (refused,) = [record for record in caplog.records if record.name == "django.request"]
    assert "Forbidden" in refused.getMessage()
    assert refused.exc_info is None


@pytest.mark.parametrize("address", ["/models/?q=a%00", "/search/?q=%00", "/issues/a%00b/", "/api/v1/models/?q=a%00"])
def test_an_address_with_nul_is_refused_before_the_database_would_break_over_it(admin_client, address):
    refused = admin_client.get(address)

    assert refused.status_code == 400
    assert "no text may hold" in refused.content.decode()
    assert admin_client.get("/models/?q=%2500").status_code == 200
