"""Where GitHub posts its deliveries."""

import logging

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from githubsync.services import webhooks
from mcc.core.errors import InvalidInput

logger = logging.getLogger(__name__)


@login_not_required
@csrf_exempt
@require_POST
def receive(request: HttpRequest, connection_id: int) -> HttpResponse:
    """202 once it is kept (again, too), 401 without a signature that holds, 400 without GitHub's headers.

    ``request.body`` would refuse more than 2.5 MB; ``mcc.asgi`` has bounded what is read here.
    """
    try:
        webhooks.accept(
            connection_id,
            request.read(),
            signature=request.headers.get("X-Hub-Signature-256", ""),
            guid=request.headers.get("X-GitHub-Delivery", ""),
            event=request.headers.get("X-GitHub-Event", ""),
        )
    except webhooks.BadSignature:
        logger.warning("a delivery for connection %s is not signed with its secret", connection_id)
        return _plain("signature does not hold", 401)
    except InvalidInput as refusal:
        return _plain(str(refusal), 400)
    return _plain("accepted", 202)


def _plain(text: str, status: int) -> HttpResponse:
    return HttpResponse(text + "\n", status=status, content_type="text/plain")
