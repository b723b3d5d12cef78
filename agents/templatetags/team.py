"""How agents look: a role's icon and hue. Loaded everywhere (``builtins`` in the settings)."""

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from agents.models import Agent, ModelCard, Role
from mcc.core.templatetags.look import icon

register = template.Library()

ROLE_ICONS = {
    Role.ORCHESTRATOR: "workflow",
    Role.ARCHITECT: "compass",
    Role.CODER: "code",
    Role.TESTER: "flask-conical",
    Role.REVIEWER: "eye",
}


@register.simple_tag
def agent_icon(who: Agent | str | None, css_class: str = "") -> SafeString:
    """``{% agent_icon run.agent "sm" %}``: takes an agent or a role; None is Mission Control itself."""
    role = who.role if isinstance(who, Agent) else who
    name = who.name if isinstance(who, Agent) else Role(role).label if role else "Mission Control"
    return format_html(
        '<span class="{}" role="img" aria-label="{}">{}</span>',
        f"ag {role or 'sys'} {css_class}".strip(),
        name,
        icon(ROLE_ICONS[Role(role)] if role else "zap"),
    )


@register.filter
def model_name(card: ModelCard) -> SafeString:
    """The model without its vendor's prefix; a scripted one says so. Reads ``card.provider``."""
    short = card.name.rpartition("/")[2]
    if not card.is_rehearsal:
        return format_html('<span title="{}">{}</span>', card.name, short)
    tag = format_html('<span class="tag warn" title="A script, not a model: {}">rehearsal</span>', card.name)
    return tag if "rehearsal" in short else format_html("{} {}", short, tag)
