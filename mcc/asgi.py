"""The web process: HTTP through Django, WebSockets through Channels."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mcc.settings")

from django.core.asgi import get_asgi_application

application = get_asgi_application()
