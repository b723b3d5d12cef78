"""Models of who people are on GitHub. An account is known by its server and its number there, never by its name."""

from django.conf import settings
from django.db import models

from mcc.core.encryption import EncryptedTextField
from projects.models import Membership, Project


class SignIn(models.Model):
    """People may sign in by this connection's GitHub. Without a ``client_id`` of its own it goes by the App's."""

    connection = models.OneToOneField("githubsync.Connection", models.CASCADE, primary_key=True, related_name="sign_in")
    client_id = models.CharField(max_length=100, blank=True)
    client_secret = EncryptedTextField()
    since = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["connection__name"]
        verbose_name_plural = "ways to sign in"

    def __str__(self) -> str:
        return f"sign in by {self.connection}"


class Identity(models.Model):
    """A person's account on GitHub, by which they sign in. ``login`` is only what it was called the last time."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="github_identities")
    server = models.CharField(max_length=300, help_text="as in https://github.com")
    github_id = models.BigIntegerField()
    login = models.CharField(max_length=100)
    linked_at = models.DateTimeField(auto_now_add=True)
    signed_in_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["login"]
        verbose_name_plural = "identities"
        constraints = [
            models.UniqueConstraint(fields=["server", "github_id"], name="identity_once"),
            models.UniqueConstraint(fields=["server", "user"], name="identity_one_per_server"),
        ]

    def __str__(self) -> str:
        return f"{self.login} on {self.server}"


class UserToken(models.Model):
    """A person's token of the client of ``connection``. Kept to ask GitHub as them what they may do, never to act.

    What it is refreshed by works once: whoever refreshes it claims it up to ``refreshing_until``.
    """

    identity = models.ForeignKey(Identity, models.CASCADE, related_name="tokens")
    connection = models.ForeignKey("githubsync.Connection", models.CASCADE, related_name="+")
    token = EncryptedTextField()
    refresh_token = EncryptedTextField()
    expires_at = models.DateTimeField(null=True, help_text="empty: when somebody ends it")
    refreshing_until = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["identity", "connection"], name="user_token_once")]

    def __str__(self) -> str:
        return f"token of {self.identity}"


class Invitation(models.Model):
    """Somebody on GitHub who may come in, and has not yet. Gone once they have."""

    server = models.CharField(max_length=300)
    github_id = models.BigIntegerField()
    login = models.CharField(max_length=100, help_text="as it was when they were invited")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="+", help_text="empty: a new account"
    )
    invited_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    invited_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["login"]
        constraints = [models.UniqueConstraint(fields=["server", "github_id"], name="invitation_once")]

    def __str__(self) -> str:
        return f"{self.login} on {self.server}"


class InvitedTo(models.Model):
    """A project that somebody who is invited will be a member of, unless they are by then."""

    invitation = models.ForeignKey(Invitation, models.CASCADE, related_name="projects")
    project = models.ForeignKey(Project, models.CASCADE, related_name="+")
    role = models.CharField(max_length=10, choices=Membership.Role.choices)

    class Meta:
        ordering = ["project__key"]
        verbose_name_plural = "invited to"
        constraints = [models.UniqueConstraint(fields=["invitation", "project"], name="invited_to_once")]

    def __str__(self) -> str:
        return f"{self.invitation} to {self.project}"
