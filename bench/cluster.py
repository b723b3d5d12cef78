"""``manage.py qcluster`` with the workplace of the bench: the workers as they are in production."""

import os
import signal
import sys

import django
from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mcc.settings")
    django.setup()

    from bench import desk
    from mcc.core import lifeline

    lifeline.die_with(os.getppid(), signal.SIGTERM)
    desk.install()
    execute_from_command_line([sys.argv[0], "qcluster"])
