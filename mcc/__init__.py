"""Mission Control Center: the roof (settings, URLs, ASGI) and, in ``core``, the foundations."""
