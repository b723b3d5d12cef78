"""Who calls, and on what piece of the company's work."""

from agents.models import Run
from agents.tools.registry import ToolContext
from projects.errors import NotYours
from projects.models import Assignment, Issue, Task
from projects.workplaces import ProjectPlace


def assignment_of(run: Run) -> Assignment:
    """Return which piece of the company's work the run is. Raises NotYours."""
    found = Assignment.objects.filter(run=run).select_related("issue__project", "task", "run__agent").first()
    if found is None:
        raise NotYours("This conversation is not about an issue.")
    return found


def task_of(assignment: Assignment) -> Task:
    if assignment.task is None:
        raise NotYours("This conversation is not about a task.")
    return assignment.task


def place_of(context: ToolContext) -> ProjectPlace:
    """Return where in the company the run works: a project, and an issue and a task if it is about one."""
    if isinstance(context.workplace, ProjectPlace):
        return context.workplace
    raise NotYours("This conversation belongs to no project.")


def issue_of(context: ToolContext) -> Issue:
    issue = place_of(context).issue
    if issue is None:
        raise NotYours("This conversation is not about an issue.")
    return issue
