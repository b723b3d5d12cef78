from rest_framework.throttling import ScopedRateThrottle
from rest_framework_simplejwt.views import TokenObtainPairView


class Token(TokenObtainPairView):
    """Exchange a user name and password for a short access token and a refresh token. Ten tries a minute."""

    throttle_classes = [ScopedRateThrottle]
    throttle_scope = "token"
