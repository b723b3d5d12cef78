"""A window on the company. What it decides, it decides elsewhere: here only rules and teams can be changed."""

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from projects.models import (
    Check,
    Feedback,
    Issue,
    Knowledge,
    Membership,
    OutsideCheck,
    Project,
    ProjectTemplate,
    PullRequest,
    Report,
    Request,
    Setup,
    Suggestion,
    Task,
    Transition,
    Vote,
    VoteWithdrawal,
)

ENVIRONMENT = (
    *("setup_command", "setup_files", "setup_hosts", "command_hosts"),
    *("variables", "toolchains", "image", "limits"),
)
"""Changed on the project's own page, which checks them."""


class ReadOnlyAdmin(admin.ModelAdmin):
    """Rows that only services write."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class MembershipInline(admin.TabularInline):
    model = Membership
    extra = 0


@admin.register(Project)
class ProjectAdmin(admin.ModelAdmin):
    list_display = ("key", "name", "forge", "default_branch")
    readonly_fields = ("key", "account", "forge", "repository", "last_issue_number", "last_pull_number", *ENVIRONMENT)
    filter_horizontal = ("team",)
    inlines = (MembershipInline,)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Project | None = None) -> bool:
        return False


@admin.register(ProjectTemplate)
class ProjectTemplateAdmin(admin.ModelAdmin):
    list_display = ("name", "description")


@admin.register(Issue)
class IssueAdmin(ReadOnlyAdmin):
    list_display = ("__str__", "project", "status", "blocked", "priority")
    list_filter = ("project", "status", "blocked")
    list_select_related = ("project",)
    search_fields = ("title",)


@admin.register(Task)
class TaskAdmin(ReadOnlyAdmin):
    list_display = ("__str__", "issue", "status", "assignee", "rework")
    list_filter = ("status",)
    list_select_related = ("issue__project", "assignee")


@admin.register(PullRequest)
class PullRequestAdmin(ReadOnlyAdmin):
    list_display = ("__str__", "project", "status", "branch", "head_sha")
    list_filter = ("project", "status")
    list_select_related = ("project",)


@admin.register(Check)
class CheckAdmin(ReadOnlyAdmin):
    list_display = ("name", "pull_request", "on", "status", "exit_code", "finished_at")
    list_filter = ("status",)
    list_select_related = ("pull_request",)


@admin.register(OutsideCheck)
class OutsideCheckAdmin(ReadOnlyAdmin):
    list_display = ("name", "source", "pull_request", "state", "conclusion", "noted_at")
    list_filter = ("state",)
    list_select_related = ("pull_request",)


@admin.register(Vote)
class VoteAdmin(ReadOnlyAdmin):
    list_display = ("pull_request", "kind", "verdict", "actor_name", "author", "head_sha", "at")
    list_filter = ("kind", "verdict")
    list_select_related = ("pull_request", "user", "agent")


@admin.register(Feedback)
class FeedbackAdmin(ReadOnlyAdmin):
    list_display = ("pull_request", "author", "head_sha", "round", "at")
    list_select_related = ("pull_request",)


@admin.register(Request)
class RequestAdmin(ReadOnlyAdmin):
    list_display = ("question", "kind", "project", "answer", "answered_by", "created_at")
    list_filter = ("kind", "project")
    list_select_related = ("project", "answered_by")


@admin.register(Transition)
class TransitionAdmin(ReadOnlyAdmin):
    list_display = ("issue", "task", "source", "target", "actor_name", "at")
    list_select_related = ("issue__project", "task", "user", "agent")


@admin.register(Setup)
class SetupAdmin(ReadOnlyAdmin):
    list_display = ("__str__", "project", "status", "exit_code", "finished_at", "used_at")
    list_filter = ("status", "project")
    list_select_related = ("project",)


admin.site.register([Knowledge, Report, Suggestion, VoteWithdrawal], ReadOnlyAdmin)
