from typing import Self
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from githubsync import identities  # noqa: F401 - models of this app
from mcc.core.encryption import EncryptedTextField
from mcc.core.models import User
from projects.git.remote import LOOPBACK
from projects.models import Issue, Project

GITHUB_API = "https://api.github.com"
EVENT_LENGTH = 100
ACTION_LENGTH = 60
NAME_LENGTH = 200


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


class Repository(models.Model):
    """A repository on GitHub that MCC works with. ``github_id`` is its identity; names change."""

    connection = models.ForeignKey(Connection, models.PROTECT, related_name="repositories")
    github_id = models.BigIntegerField()
    installation = models.ForeignKey(
        Installation, models.SET_NULL, null=True, related_name="repositories", help_text="by which an App reaches it"
    )
    project = models.OneToOneField(Project, models.CASCADE, null=True, related_name="+")
    full_name = models.CharField(max_length=200, help_text="owner/name, as of the last time it was asked")
    default_branch = models.CharField(max_length=200, help_text="as of the last time it was asked")
    branch_before = models.CharField(
        max_length=200, blank=True, help_text="the default branch that was replaced, until somebody decides about it"
    )
    private = models.BooleanField(default=True)
    archived = models.BooleanField(default=False)
    size_kb = models.PositiveBigIntegerField(default=0, help_text="as GitHub estimates it")
    linked_at = models.DateTimeField(auto_now_add=True)
    named_at = models.DateTimeField(null=True, help_text="when GitHub last said what it is called")
    pushed_at = models.DateTimeField(null=True, help_text="as GitHub said when the copy was last brought up to date")
    trouble = models.CharField(
        max_length=200, blank=True, help_text="why work cannot go on there, and what helps; empty: it can"
    )
    cloned_at = models.DateTimeField(null=True, help_text="empty: MCC's copy is being made")
    clone_problem = models.CharField(max_length=500, blank=True, help_text="why there is no copy yet")
    trigger_label = models.CharField(max_length=50, blank=True, default="mcc", help_text="it starts work")
    mention = models.CharField(max_length=39, blank=True, default="mcc", help_text="our name there, without the @")
    trusted_bots = models.JSONField(default=list, blank=True, help_text="GitHub's ids of bots that may give orders")
    starts_per_hour = models.PositiveSmallIntegerField(default=20, help_text="more at once are taken for a loop")

    class Meta:
        ordering = ["full_name"]
        constraints = [models.UniqueConstraint(fields=["connection", "github_id"], name="repository_once")]

    def __str__(self) -> str:
        return self.full_name

    @property
    def html_url(self) -> str:
        return f"{self.connection.web_url}/{self.full_name}"


class IssueLink(models.Model):
    """An issue on GitHub that became one of ours. What agents read is the snapshot that was taken then."""

    class There(models.TextChoices):
        OPEN = "open"
        CLOSED = "closed"
        TRANSFERRED = "transferred"
        DELETED = "deleted"

    repository = models.ForeignKey(Repository, models.CASCADE, related_name="issue_links")
    number = models.PositiveIntegerField(help_text="on GitHub")
    issue = models.OneToOneField(Issue, models.CASCADE, related_name="+")
    author = models.CharField(max_length=100, help_text="who wrote it there")
    association = models.CharField(max_length=30, help_text="what the author is to the repository, in GitHub's word")
    taken_at = models.DateTimeField(auto_now_add=True)
    digest = models.CharField(max_length=32, blank=True, help_text="of title and text as they were then")
    edited = models.BooleanField(default=False, help_text="title or text there differ from what agents read")
    there = models.CharField(max_length=11, choices=There.choices, default=There.OPEN, help_text="as of the last look")

    class Meta:
        ordering = ["-pk"]
        constraints = [models.UniqueConstraint(fields=["repository", "number"], name="github_issue_once")]

    def __str__(self) -> str:
        return f"{self.repository.full_name}#{self.number}"

    @property
    def url(self) -> str:
        return f"{self.repository.html_url}/issues/{self.number}"


class Heard(models.Model):
    """Something that somebody on GitHub said to us, and what became of it. Heard once, however often it is seen."""

    class Kind(models.TextChoices):
        LABEL = "label"
        COMMENT = "comment"
        REVIEW = "review"

    class Outcome(models.TextChoices):
        STARTED = "started"
        OBEYED = "obeyed"
        REFUSED = "refused"
        LIMITED = "limited", "refused: too many"

    DONE = (Outcome.STARTED, Outcome.OBEYED)

    repository = models.ForeignKey(Repository, models.CASCADE, related_name="heard")
    number = models.PositiveIntegerField(help_text="of the issue or pull request")
    kind = models.CharField(max_length=7, choices=Kind.choices)
    github_id = models.BigIntegerField(help_text="of the comment, the review, or the event of the timeline")
    actor = models.CharField(max_length=100)
    word = models.CharField(max_length=40)
    outcome = models.CharField(max_length=8, choices=Outcome.choices)
    answer = models.CharField(max_length=100, blank=True, help_text="the issue here, or why it was refused")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]
        verbose_name_plural = "heard"
        constraints = [models.UniqueConstraint(fields=["repository", "kind", "github_id"], name="heard_once")]
        indexes = [models.Index(fields=["repository", "number"]), models.Index(fields=["repository", "at"])]

    def __str__(self) -> str:
        return f"{self.word} by {self.actor} on #{self.number}"


class Outgoing(models.Model):
    """GitHub is to hear of an issue: written in the transaction of the change, gone once it was told.

    The database does not check the key: an insert would wait for whoever has the issue locked.
    """

    issue = models.ForeignKey(Issue, models.CASCADE, related_name="+", db_constraint=False)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]
        verbose_name_plural = "outgoing"


class Told(models.Model):
    """What GitHub was told of an issue, so that nothing is said twice."""

    issue = models.OneToOneField(Issue, models.CASCADE, related_name="+")
    comment_id = models.BigIntegerField(null=True, help_text="our one comment on the issue there")
    digests = models.JSONField(default=dict, help_text="of what was sent last, by what it is about")
    told_at = models.DateTimeField(null=True)
    problem = models.CharField(max_length=500, blank=True, help_text="why GitHub did not take the last news")

    class Meta:
        verbose_name_plural = "told"


class Webhook(models.Model):
    """What GitHub signs its deliveries for a connection with. While a secret is replaced, the one before holds too.

    Where nobody set a secret nothing comes in signed, and the deliveries are what polling found.
    """

    connection = models.OneToOneField(Connection, models.CASCADE, primary_key=True, related_name="webhook")
    secret = EncryptedTextField()
    previous_secret = EncryptedTextField()
    secret_set_at = models.DateTimeField(null=True)
    verified_at = models.DateTimeField(null=True, help_text="when GitHub's ping, or any delivery, last came in signed")
    caught_up_to = models.DateTimeField(null=True, help_text="what GitHub delivered up to then is here")
    catch_up_at = models.DateTimeField(null=True, help_text="when GitHub's list of deliveries is looked at next")

    def __str__(self) -> str:
        return f"webhook of {self.connection}"


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def due(self) -> Self:
        """Those to be worked on now."""
        now = timezone.now()
        soon = models.Q(next_try_at__isnull=True) | models.Q(next_try_at__lte=now)
        return self.filter(soon, status=Delivery.Status.RECEIVED)


class Delivery(models.Model):
    """A signed delivery of GitHub's, as it came in, or what asking found in its place.

    A redelivery has the same GUID and is counted, not kept again.
    """

    class Status(models.TextChoices):
        RECEIVED = "received", "received"
        IGNORED = "ignored", "ignored"
        DONE = "done", "done"
        DEAD = "dead", "given up"

    webhook = models.ForeignKey(Webhook, models.CASCADE, related_name="deliveries")
    guid = models.UUIDField()
    event = models.CharField(max_length=EVENT_LENGTH)
    body = models.BinaryField(help_text="the raw bytes that were signed")
    body_bytes = models.PositiveIntegerField()
    status = models.CharField(max_length=10, choices=Status.choices)
    received_at = models.DateTimeField(auto_now_add=True, db_index=True)
    polled = models.BooleanField(default=False, help_text="nobody delivered it: GitHub was asked")
    times = models.PositiveIntegerField(default=1, help_text="how often it came in")

    action = models.CharField(
        max_length=ACTION_LENGTH, blank=True, help_text="as it says; like the next two for people"
    )
    repository = models.CharField(max_length=NAME_LENGTH, blank=True)
    number = models.PositiveIntegerField(null=True, help_text="of the issue or pull request")
    attempts = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True, help_text="not to be tried before")
    settled_at = models.DateTimeField(null=True, help_text="when it was done or given up")
    error = models.CharField(max_length=500, blank=True, help_text="why the last attempt failed")

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        ordering = ["-pk"]
        verbose_name_plural = "deliveries"
        constraints = [models.UniqueConstraint(fields=["webhook", "guid"], name="delivery_once")]
        indexes = [
            models.Index(fields=["webhook"], condition=models.Q(status="received"), name="delivery_to_be_worked_on")
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.guid}"


class Poll(models.Model):
    """How far a linked repository was asked for what happened there, and when it is asked next."""

    repository = models.OneToOneField(Repository, models.CASCADE, primary_key=True, related_name="poll")
    since = models.DateTimeField(help_text="everything up to then was taken over, by GitHub's clock")
    etag = models.CharField(max_length=200, blank=True, help_text="of the last answer, while nothing newer was found")
    heads = models.JSONField(
        default=dict, help_text="{commit: [pull requests, ETag of its check runs, of its statuses]} as taken note of"
    )
    repository_etag = models.CharField(max_length=200, blank=True, help_text="of what GitHub says of the repository")
    asked_at = models.DateTimeField(null=True)
    next_at = models.DateTimeField(db_index=True)
    failures = models.PositiveIntegerField(default=0, help_text="one after the other")
    problem = models.CharField(max_length=500, blank=True, help_text="why the last attempt failed")

    def __str__(self) -> str:
        return f"poll of {self.repository}"
