from githubsync.models.connection import GITHUB_API, App, Connection, Installation, InstallationToken, validate_api_url
from githubsync.models.delivery import ACTION_LENGTH, EVENT_LENGTH, NAME_LENGTH, Delivery, Webhook
from githubsync.models.identity import Identity, Invitation, InvitedTo, SignIn, UserToken
from githubsync.models.repository import BranchRules, IssueLink, Poll, Repository
from githubsync.models.said import Heard, Outgoing, Told

__all__ = [
    "ACTION_LENGTH",
    "EVENT_LENGTH",
    "GITHUB_API",
    "NAME_LENGTH",
    "App",
    "BranchRules",
    "Connection",
    "Delivery",
    "Heard",
    "Identity",
    "Installation",
    "InstallationToken",
    "Invitation",
    "InvitedTo",
    "IssueLink",
    "Outgoing",
    "Poll",
    "Repository",
    "SignIn",
    "Told",
    "UserToken",
    "Webhook",
    "validate_api_url",
]
