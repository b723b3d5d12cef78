"""How far an issue or a task is. Loaded everywhere (``builtins`` in the settings)."""

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from projects.models import IssueStatus, TaskStatus

register = template.Library()

ISSUE_STAGES = [status for status in IssueStatus if status is not IssueStatus.CANCELLED]
TASK_STAGES = [status for status in TaskStatus if status is not TaskStatus.CANCELLED]


@register.simple_tag
def stage_bar(status: str) -> SafeString:
    """``{% stage_bar issue.status %}``: a bar of six parts; say the word beside it (``get_status_display``)."""
    return _bar(status, [*ISSUE_STAGES])


@register.simple_tag
def task_stage_bar(status: str) -> SafeString:
    """``{% task_stage_bar task.status %}``: the same for a task, whose stages are others."""
    return _bar(status, [*TASK_STAGES])


def _bar(status: str, stages: list[str]) -> SafeString:
    position = stages.index(status) if status in stages else -1
    parts = ((_part(index, position, len(stages)),) for index in range(len(stages)))
    return format_html(
        '<span class="stage st-{}"><span class="pipe" aria-hidden="true">{}</span><span class="vh">{}</span></span>',
        status,
        format_html_join("", '<i class="{}"></i>', parts),
        f"Stage {position + 1} of {len(stages)}: " if position >= 0 else "",
    )


def _part(index: int, position: int, count: int) -> str:
    if index < position or position == count - 1:
        return "done"
    return "now" if index == position else ""
