"""Somebody pushed to the branch that work is merged into, or deleted it."""

from githubsync.services import repositories
from githubsync.services.effects.look import Look
from projects.git import Mirror


def look_at(look: Look, name: str) -> None:
    """Fetch what is new, for the next plan and merge to see. Other branches are fetched by whoever needs them."""
    if name != look.project.default_branch or look.repository.cloned_at is None:
        return
    repositories.fetch(look.repository)
    if name not in Mirror(look.project.pk).branches():
        repositories.look_at(look.repository, look.lease)
