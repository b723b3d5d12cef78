from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "mcc.core"
    label = "core"
    verbose_name = "Core"
