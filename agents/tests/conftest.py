import pytest

from agents.models import Provider
from tests.provider import Server


@pytest.fixture
def fake(monkeypatch):
    """A provider of models on this machine. Its key is in ``ACME_KEY``."""
    monkeypatch.setenv("ACME_KEY", "sk-acme-secret")
    provider = Server()
    yield provider
    provider.close()


@pytest.fixture
def acme(fake):
    """The row of that provider: it speaks OpenRouter's dialect."""
    return Provider.objects.create(name="acme", kind="openrouter", base_url=fake.url, key_setting="ACME_KEY")
