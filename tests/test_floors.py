"""Imports and foreign keys point towards the foundations."""

from django.apps import apps

FLOORS = ["core", "budgets", "agents", "projects", "githubsync", "notifications"]


def test_foreign_keys_point_to_the_foundations():
    upward = [
        f"{model._meta.label}.{field.name}"
        for model in apps.get_models(include_auto_created=True)
        for field in model._meta.get_fields()
        if field.concrete
        and field.is_relation
        and model._meta.app_label in FLOORS
        and field.related_model._meta.app_label in FLOORS
        and FLOORS.index(field.related_model._meta.app_label) > FLOORS.index(model._meta.app_label)
    ]
    assert upward == []
