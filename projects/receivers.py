"""The company's answer to news from the floors below: ring the scheduler, tell the pages."""

from django.db import transaction
from django.db.models import Q
from django.dispatch import receiver

from agents.models import Run
from agents.signals import run_finished, run_waiting, supply_changed
from budgets.models import Account
from budgets.signals import account_frozen, account_thawed, hold_decided, limit_changed
from mcc.core.queue import enqueue
from projects.models import Issue, IssueStatus, Project, Task, TaskStatus, Transition
from projects.services import money, news, supply, tidying
from projects.services.coding import SETTLED
from projects.signals import task_moved


@receiver([run_finished, run_waiting], dispatch_uid="projects.look_at_the_run")
def look_at_the_run(sender: type[Run], run: Run, **kwargs: object) -> None:
    """Look at the issue whose run ended or waits, and at those for which its agent may now be free."""
    concerned = set(Issue.objects.filter(assignments__run=run).values_list("pk", flat=True))
    concerned |= set(Issue.objects.filter(requests__run=run).values_list("pk", flat=True))
    if not run.is_open:
        starved = Issue.objects.filter(
            project__team=run.agent_id, status=IssueStatus.IMPLEMENTATION, tasks__status=TaskStatus.PENDING
        )
        concerned |= set(starved.values_list("pk", flat=True))
    for issue_id in concerned:
        news.ring(issue_id)


@receiver(task_moved, dispatch_uid="projects.look_at_who_waited")
def look_at_who_waited(sender: type[Task], transition: Transition, **kwargs: object) -> None:
    """Look at the project's other issues when a task lets go of its files: theirs may be waiting for them."""
    if transition.target not in SETTLED:
        return
    waiting = Issue.objects.filter(
        project=transition.issue.project_id, status=IssueStatus.IMPLEMENTATION, tasks__status=TaskStatus.PENDING
    )
    for issue_id in waiting.exclude(pk=transition.issue_id).distinct().values_list("pk", flat=True):
        news.ring(issue_id)


@receiver(run_finished, dispatch_uid="projects.tidy_up_after_the_run")
def tidy_up_after_the_run(sender: type[Run], run: Run, **kwargs: object) -> None:
    """Clear away a workspace that was this run's alone."""
    tidying.order_for(run)


@receiver(run_waiting, dispatch_uid="projects.ask_for_money")
def ask_for_money(sender: type[Run], run: Run, **kwargs: object) -> None:
    """Ask for a talk or a stand-up that has no money left: no issue is looked at that would."""
    if run.waits_for == money.BUDGET:
        for project in Project.objects.filter(account__in=run.accounts.all()):
            with transaction.atomic():
                money.ask_for(project)


@receiver([limit_changed, hold_decided], dispatch_uid="projects.go_on_with_the_money")
def go_on_with_the_money(sender: type[object], **kwargs: object) -> None:
    """Wake who waited for this, and void the questions that it answers, wherever a person freed money."""
    if money.is_short():
        enqueue("projects.tasks.look_at_shortages")


@receiver(supply_changed, dispatch_uid="projects.show_the_supply")
def show_the_supply(sender: type[object], **kwargs: object) -> None:
    """Ask about what cannot be used, and let open pages show which providers and models can be called."""
    supply.ask()
    news.company_changed()


@receiver(account_thawed, dispatch_uid="projects.go_on_after_a_stop")
def go_on_after_a_stop(sender: type[Account], account: Account, **kwargs: object) -> None:
    """Look at everything: what was stopped may be anywhere."""
    enqueue("projects.tasks.advance_all")
    _show(account)


@receiver(account_frozen, dispatch_uid="projects.show_a_stop")
def show_a_stop(sender: type[Account], account: Account, **kwargs: object) -> None:
    """Let open pages show that something is stopped, and see how long it takes."""
    enqueue("projects.tasks.see_stops_out")
    _show(account)


def _show(account: Account) -> None:
    """Draw the frame of every page again, and the pages of the issues that the account is of."""
    news.company_changed()
    concerned = Issue.objects.filter(Q(account=account) | Q(project__account=account)).select_related("project")
    for issue in concerned.open():
        news.issue_changed(issue)
