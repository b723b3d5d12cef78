from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("githubsync", "0021_edited_after_the_order")]

    operations = [
        migrations.AlterField(
            "heard",
            "kind",
            models.CharField(
                choices=[
                    ("label", "Label"),
                    ("assign", "assignment"),
                    ("comment", "Comment"),
                    ("review", "Review"),
                    ("rerun", "re-run"),
                ],
                max_length=7,
            ),
        ),
    ]
