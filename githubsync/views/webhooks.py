"""Where GitHub posts its deliveries when ``githubsync.endpoint`` is not in front: under WSGI, and in tests."""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from githubsync.services import webhooks


@login_not_required
@csrf_exempt
@require_POST
def receive(request: HttpRequest, connection_id: int) -> HttpResponse:
    """Answer a delivery. ``request.body`` would refuse more than 2.5 MB."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    status, text = webhooks.answer(connection_id, headers, request.read())
    return HttpResponse(text + "\n", status=status, content_type="text/plain")
