from django.db import migrations, models


class Migration(migrations.Migration):
    """No page has made a connection before, so there is nobody's choice to carry over."""

    dependencies = [
        ('githubsync', '0001_connections'),
    ]

    operations = [
        migrations.RemoveField(
            model_name='connection',
            name='everyone',
        ),
        migrations.AddField(
            model_name='connection',
            name='audience',
            field=models.CharField(choices=[('owner', 'only its owner'), ('administrators', 'administrators'), ('everyone', 'everyone here')], default='administrators', help_text='who may link repositories', max_length=16),
        ),
    ]
