from django.db import models


class BlobTags(models.Model):
    """What one version of a file defines and refers to. A cache by content: may be emptied at any time."""

    oid = models.CharField(max_length=64, help_text="of git, which names the content")
    language = models.CharField(max_length=20, help_text="as which it was read; with the version of the reader")
    definitions = models.JSONField(default=list, help_text="[[name, line, how it is written]]")
    references = models.JSONField(default=dict, help_text="how often each name occurs")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["oid", "language"], name="blob_tags_once")]
        indexes = [models.Index(fields=["created_at"])]

    def __str__(self) -> str:
        return f"{self.oid[:12]} as {self.language}"
