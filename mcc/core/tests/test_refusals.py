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
