"""Models of the ways into a GitHub: where it is, as whom, and what the App of a connection may do there."""

from typing import Self
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models

from mcc.core.encryption import EncryptedTextField
from mcc.core.models import User
from projects.git.remote import LOOPBACK

GITHUB_API = "https://api.github.com"


def validate_api_url(url: str) -> None:
    """Accept the address of a REST API: https, or http on this machine, nothing but host, port and path."""
    try:
        parts = urlsplit(url)
        safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
        complete = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        safe = complete = False
    if not (safe and complete) or any(sign.isspace() for sign in url):
        raise ValidationError("Write an https address, as in https://github.example.org/api/v3.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValidationError("No name, password or query in the address: the token has a field of its own.")


class ConnectionQuerySet(models.QuerySet["Connection"]):
    def usable_by(self, user: User) -> Self:
        """Those by which ``user`` may link repositories: one's own, and those that were opened to others."""
        audiences = [Connection.Audience.EVERYONE]
        if user.is_superuser:
            audiences.append(Connection.Audience.ADMINISTRATORS)
        return self.filter(models.Q(owner=user) | models.Q(audience__in=audiences), active=True)


class Connection(models.Model):
    """A way into a GitHub: where it is, as whom we go there, and how often we may ask."""

    class Kind(models.TextChoices):
        PERSONAL_TOKEN = "personal_token", "personal access token"
        APP = "app", "GitHub App"

    class Audience(models.TextChoices):
        OWNER = "owner", "only its owner"
        ADMINISTRATORS = "administrators", "administrators"
        EVERYONE = "everyone", "everyone here"

    name = models.CharField(max_length=100, unique=True)
    kind = models.CharField(max_length=20, choices=Kind.choices, default=Kind.PERSONAL_TOKEN)
    api_url = models.CharField(max_length=300, default=GITHUB_API, validators=[validate_api_url])
    ca_file = models.CharField(max_length=300, blank=True, help_text="who signs the server's certificate; empty: usual")
    token = EncryptedTextField()
    token_set_at = models.DateTimeField(null=True, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", help_text="whose token it is")
    audience = models.CharField(
        max_length=16, choices=Audience.choices, default=Audience.ADMINISTRATORS, help_text="who may link repositories"
    )
    active = models.BooleanField(default=True)

    login = models.CharField(max_length=100, blank=True, editable=False, help_text="as whom the last test went in")
    health = models.JSONField(null=True, editable=False, help_text="what the last test found")
    health_at = models.DateTimeField(null=True, editable=False)

    limited_until = models.DateTimeField(null=True, editable=False, help_text="nothing may be asked before")
    rate_limit = models.PositiveIntegerField(null=True, editable=False, help_text="requests an hour, as GitHub said")
    rate_remaining = models.PositiveIntegerField(null=True, editable=False)
    rate_resets_at = models.DateTimeField(null=True, editable=False)
    write_interval_ms = models.PositiveIntegerField(default=1000, help_text="least time between two writes")
    next_write_at = models.DateTimeField(null=True, editable=False)
    writes_since = models.DateTimeField(null=True, editable=False, help_text="when the hour of writes began")
    writes = models.PositiveIntegerField(default=0, editable=False, help_text="in this hour")

    objects = ConnectionQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @staticmethod
    def may_be_used_by(user: User) -> bool:
        """Whether there is a connection for ``user``; an administrator can make one."""
        return user.is_superuser or Connection.objects.usable_by(user).exists()

    @property
    def is_app(self) -> bool:
        return self.kind == self.Kind.APP

    @property
    def certificates(self) -> str | bool:
        """Who may sign the server's certificate, as ``requests`` takes it for ``verify``."""
        return self.ca_file or True

    @property
    def web_url(self) -> str:
        """Where people and git go: GitHub's own API has a host of its own, an Enterprise Server's a path."""
        if self.api_url.rstrip("/") == GITHUB_API:
            return "https://github.com"
        parts = urlsplit(self.api_url)
        return f"{parts.scheme}://{parts.netloc}"


class App(models.Model):
    """The GitHub App of a connection. Without ``app_id`` GitHub was not asked for it yet, or the person gave up."""

    connection = models.OneToOneField(Connection, models.CASCADE, primary_key=True, related_name="app")
    organization = models.CharField(max_length=100, blank=True, help_text="who owns it there; empty: the person")
    app_id = models.BigIntegerField(null=True)
    slug = models.CharField(max_length=100, blank=True, help_text="its name in addresses; its bot is slug[bot]")
    client_id = models.CharField(max_length=100, blank=True)
    client_secret = EncryptedTextField()
    private_key = EncryptedTextField()
    made_at = models.DateTimeField(null=True)
    home = models.CharField(max_length=300, blank=True, help_text="our own address, as it was made for")

    def __str__(self) -> str:
        return self.slug or f"App of {self.connection}"

    @property
    def page_url(self) -> str:
        """Its page on GitHub, which an Enterprise Server has elsewhere. Built here, never taken from an answer."""
        web = self.connection.web_url
        return f"{web}/{'apps' if web == 'https://github.com' else 'github-apps'}/{self.slug}"

    @property
    def form_url(self) -> str:
        """Where GitHub takes the manifest of a new App."""
        whose = f"/organizations/{self.organization}" if self.organization else ""
        return f"{self.connection.web_url}{whose}/settings/apps/new"


class Installation(models.Model):
    """An account on GitHub that let a connection's App into its repositories, and what the App may do there."""

    connection = models.ForeignKey(Connection, models.CASCADE, related_name="installations")
    github_id = models.BigIntegerField()
    account = models.CharField(max_length=100)
    all_repositories = models.BooleanField(default=False)
    permissions = models.JSONField(default=dict)
    events = models.JSONField(default=list)
    suspended_at = models.DateTimeField(null=True)
    found_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["account"]
        constraints = [models.UniqueConstraint(fields=["connection", "github_id"], name="installation_once")]

    def __str__(self) -> str:
        return self.account


class InstallationToken(models.Model):
    """A token of an installation, for an hour, used by all processes. ``scope``: what for, and for which repository."""

    installation = models.ForeignKey(Installation, models.CASCADE, related_name="tokens")
    scope = models.CharField(max_length=40)
    token = EncryptedTextField()
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["installation", "scope"], name="installation_token_once")]

    def __str__(self) -> str:
        return f"{self.scope} of {self.installation}"
