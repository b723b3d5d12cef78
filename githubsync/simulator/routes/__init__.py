"""The endpoints, one module for each subject. Importing them registers them."""

from githubsync.simulator.routes import (
    actions,
    apps,
    checks,
    forks,
    git,
    graphql,
    hooks,
    issues,
    people,
    pulls,
    repositories,
    reviews,
)

__all__ = [
    "actions",
    "apps",
    "checks",
    "forks",
    "git",
    "graphql",
    "hooks",
    "issues",
    "people",
    "pulls",
    "repositories",
    "reviews",
]
