"""How templates name the ways to sign in."""

from urllib.parse import urlsplit

from django import template

from githubsync.models import Connection
from githubsync.services import ways_in

register = template.Library()


@register.simple_tag
def github_ways_in() -> list[Connection]:
    """``{% github_ways_in as ways %}``: the connections that people sign in by. One query."""
    return ways_in.offered()


@register.filter
def server_name(url: str) -> str:
    """``{{ connection.web_url|server_name }}``: GitHub, or GitHub at github.example.org."""
    return "GitHub" if url == "https://github.com" else f"GitHub at {urlsplit(url).netloc}"
