from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("githubsync", "0019_invited_to")]

    operations = [
        migrations.AddField(
            "repository",
            "trigger_assignee",
            models.CharField(
                blank=True,
                default="",
                help_text="an account there that an issue is assigned to for work to start",
                max_length=39,
            ),
            preserve_default=False,
        ),
        migrations.AlterField(
            "heard",
            "kind",
            models.CharField(
                choices=[
                    ("label", "Label"),
                    ("assign", "assignment"),
                    ("comment", "Comment"),
                    ("review", "Review"),
                ],
                max_length=7,
            ),
        ),
    ]
