"""The admin has no door of its own: who signs in there passes the limits of the sign-in."""

import pytest
from django.core.cache import cache

pytestmark = pytest.mark.django_db


def test_wrong_passwords_at_the_admin_lead_to_a_lock(client, django_user_model):
    cache.clear()
    django_user_model.objects.create_superuser("root", password="right-one-4711")
    door = client.get("/admin/login/?next=/admin/")
    assert (door.status_code, door.url) == (302, "/accounts/login/?next=%2Fadmin%2F")

    for _ in range(25):
        assert client.post("/admin/login/", {"username": "root", "password": "wrong"}).status_code == 302
        client.post(door.url, {"login": "root", "password": "wrong"})
    client.post(door.url, {"login": "root", "password": "right-one-4711"})

    assert "_auth_user_id" not in client.session
    cache.clear()
    assert client.post(door.url, {"login": "root", "password": "right-one-4711"}).url == "/admin/"
