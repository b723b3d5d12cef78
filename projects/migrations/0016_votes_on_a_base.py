"""What a person approved is a merge into one branch; until now it was the one that the pull request goes into."""

import hashlib

from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def name_the_base(apps: Apps, schema: BaseDatabaseSchemaEditor) -> None:
    """Let votes of persons have a base, and keys of ``merge:<pull request>:<commit>[:<n>]`` stand for it."""
    for pull in apps.get_model("projects", "PullRequest").objects.only("pk", "base_branch").iterator():
        pull.votes.filter(kind="person").update(base_branch=pull.base_branch)
        mark = hashlib.sha256(pull.base_branch.encode()).hexdigest()[:16]
        for request in pull.requests.filter(kind="merge", key__startswith="merge:").only("pk", "key"):
            parts = request.key.split(":")
            request.key = ":".join([*parts[:3], mark, *(parts[3:] or ["0"])])
            request.save(update_fields=["key"])


class Migration(migrations.Migration):
    dependencies = [("projects", "0015_required_checks")]

    operations = [
        migrations.RemoveConstraint("vote", "vote_once_per_person_and_commit"),
        migrations.AddField(
            "vote",
            "base_branch",
            models.CharField(
                blank=True,
                help_text="of a person's: what it was to be merged into; empty: that is not certain",
                max_length=200,
                default="",
            ),
            preserve_default=False,
        ),
        migrations.RunPython(name_the_base, migrations.RunPython.noop),
        migrations.AddConstraint(
            "vote",
            models.UniqueConstraint(
                condition=models.Q(("user__isnull", False)),
                fields=("pull_request", "head_sha", "base_branch", "user", "reference"),
                name="vote_once_per_person_and_commit",
            ),
        ),
    ]
