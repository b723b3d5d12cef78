from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("githubsync", "0020_assignment")]

    operations = [
        migrations.AlterField(
            "heard",
            "outcome",
            models.CharField(
                choices=[
                    ("started", "Started"),
                    ("obeyed", "Obeyed"),
                    ("refused", "Refused"),
                    ("limited", "refused: too many"),
                    ("edited", "refused: edited"),
                ],
                max_length=8,
            ),
        ),
    ]
