"""How the log tells that somebody was refused something."""

import logging

from django.core.exceptions import PermissionDenied


class InOneLine(logging.Filter):
    """Leaves out the traceback of a refusal: it is an answer and no failure, and anybody can cause a thousand."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], PermissionDenied):
            record.exc_info = None
        return True
