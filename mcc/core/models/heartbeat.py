from django.db import models


class Heartbeat(models.Model):
    """When a part of the machinery was last seen alive: ``worker:<host>:<pid>``, ``canary``."""

    name = models.CharField(max_length=120, unique=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
