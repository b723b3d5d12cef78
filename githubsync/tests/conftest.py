from githubsync.tests.simulated import atlas, github, place, simulator

__all__ = ["atlas", "github", "place", "simulator"]
