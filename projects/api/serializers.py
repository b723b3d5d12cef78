"""The shapes of what the API answers about projects, their work and its usage, which several endpoints share or nest.

Others stand beside their endpoint, as the input serializers do.
"""

from __future__ import annotations

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from agents.models import Agent
from budgets.models import Usage
from projects import forecasts
from projects.api.fields import UsdField, shown
from projects.forecasts import Forecast
from projects.models import Check, Feedback, Issue, OutsideCheck, Project, PullRequest, Task, Vote


class CheckCommand(serializers.Serializer):
    """A command that Mission Control runs on every commit before anybody votes."""

    name = serializers.CharField(max_length=100)
    command = serializers.CharField(max_length=2_000)
    timeout_s = serializers.IntegerField(min_value=1, max_value=1_800, default=600)


class ProjectOut(serializers.ModelSerializer):
    checks = CheckCommand(many=True)
    setup_files = serializers.ListField(child=serializers.CharField())
    setup_hosts = serializers.ListField(child=serializers.CharField())
    command_hosts = serializers.ListField(child=serializers.CharField())
    variables = serializers.DictField(child=serializers.CharField())
    toolchains = serializers.ListField(child=serializers.CharField())
    limits = serializers.DictField(child=serializers.IntegerField())
    team: serializers.SlugRelatedField[Agent] = serializers.SlugRelatedField("name", many=True, read_only=True)
    cost_usd = serializers.SerializerMethodField()

    class Meta:
        model = Project
        fields = (
            "id", "key", "name", "description", "forge", "repository", "default_branch", "team", "checks",
            "setup_command", "setup_files", "setup_hosts", "command_hosts", "variables", "toolchains", "image",
            "limits",
            "plan_needs_approval", "merge_needs_approval", "counts_forge_approvals", "fast_lane", "parallel_coders",
            "max_rework",
            "account", "cost_usd", "created_at",
        )  # fmt: skip

    @extend_schema_field(str)
    def get_cost_usd(self, project: Project) -> str:
        return shown(self.context["costs"].get(project.account_id, 0))


class TaskOut(serializers.ModelSerializer):
    depends_on: serializers.SlugRelatedField[Task] = serializers.SlugRelatedField("key", many=True, read_only=True)
    assignee = serializers.CharField(source="assignee.name", default=None)
    pull_request = serializers.SerializerMethodField()
    cost_usd = serializers.SerializerMethodField()

    class Meta:
        model = Task
        fields = (
            "id", "issue", "key", "title", "description", "depends_on", "files", "size", "status", "assignee",
            "branch", "rework", "pull_request", "cost_usd", "created_at", "finished_at",
        )  # fmt: skip

    def get_pull_request(self, task: Task) -> int | None:
        return task.pull_request.pk if hasattr(task, "pull_request") else None

    @extend_schema_field(str)
    def get_cost_usd(self, task: Task) -> str:
        return shown(self.context["task_costs"].get(task.pk, 0))


class IssueOut(serializers.ModelSerializer):
    key = serializers.CharField(read_only=True)
    created_by = serializers.CharField(source="created_by.username", default=None)
    cost_usd = serializers.SerializerMethodField()

    class Meta:
        model = Issue
        fields = (
            "id", "key", "project", "number", "title", "body", "status", "blocked", "priority", "size", "cost_usd",
            "account", "created_by", "created_at", "started_at", "finished_at",
        )  # fmt: skip

    @extend_schema_field(str)
    def get_cost_usd(self, issue: Issue) -> str:
        return shown(self.context["costs"].get(issue.account_id, 0))


class ForecastOut(serializers.Serializer):
    """Half of comparable work cost up to ``p50_usd``, nine of ten up to ``p90_usd`` where that ``is_bound``."""

    p50_usd = UsdField(source="p50_nanousd")
    p90_usd = UsdField(source="p90_nanousd")
    p50_s = serializers.IntegerField()
    p90_s = serializers.IntegerField()
    cases = serializers.IntegerField(help_text="finished pieces of work that it rests on")
    is_bound = serializers.BooleanField(help_text="false: fewer than nine cases, and p90 is what the dearest cost")
    of = serializers.ChoiceField(["issues", "tasks"], help_text="what these were")
    is_own = serializers.BooleanField(help_text="of this project; false: of all, for it has too few")


class IssueWhole(IssueOut):
    tasks = TaskOut(many=True)
    forecast = serializers.SerializerMethodField(help_text="by its plan; without one as it was or is before the start")
    forecast_at_start = serializers.SerializerMethodField(help_text="what calibration is measured by")

    class Meta(IssueOut.Meta):
        fields = (
            *IssueOut.Meta.fields,
            "forecast",
            "forecast_at_start",
            "spec",
            "definition_of_done",
            "plan_approved_at",
            "tasks",
        )  # type: ignore[assignment]

    @extend_schema_field(ForecastOut(allow_null=True))
    def get_forecast(self, issue: Issue) -> object:
        return _forecast(forecasts.told(issue).outlook(self.context["costs"].get(issue.account_id, 0)))

    @extend_schema_field(ForecastOut(allow_null=True))
    def get_forecast_at_start(self, issue: Issue) -> object:
        return _forecast(forecasts.told(issue).start)


def _forecast(told: Forecast | None) -> object:
    return ForecastOut(told).data if told else None


class CheckOut(serializers.ModelSerializer):
    class Meta:
        model = Check
        fields = (
            "id", "name", "command", "on", "sha", "status", "exit_code", "ending", "log", "started_at", "finished_at",
        )  # fmt: skip


class VoteOut(serializers.ModelSerializer):
    by = serializers.CharField(source="actor_name")
    counts = serializers.BooleanField(
        help_text="it is about the head, holds, and was given where the project counts it"
    )
    at_forge = serializers.SerializerMethodField(help_text="it was given by a review at the forge")
    author = serializers.CharField(help_text="what the forge calls whoever gave it there")
    withdrawn_at = serializers.DateTimeField(source="withdrawal.at", default=None, allow_null=True)

    class Meta:
        model = Vote
        fields = (
            "id", "kind", "by", "verdict", "summary", "findings", "criteria", "head_sha", "base_branch", "counts",
            "at_forge", "author", "url", "withdrawn_at", "at",
        )  # fmt: skip

    def get_at_forge(self, vote: Vote) -> bool:
        return bool(vote.reference)


class OutsideCheckOut(serializers.ModelSerializer):
    """What a CI that is not ours says of a commit. Its words are a stranger's, without secrets, and cut."""

    class Meta:
        model = OutsideCheck
        fields = ("id", "sha", "source", "name", "state", "conclusion", "url", "address", "output", "noted_at")


class FeedbackOut(serializers.ModelSerializer):
    """What a person at the forge wants changed. Its words are a stranger's."""

    class Meta:
        model = Feedback
        fields = (
            "id", "author", "head_sha", "text", "findings", "left_out", "url", "round", "withdrawn_at", "at",
        )  # fmt: skip


class RequiredCheckOut(serializers.Serializer):
    """A check that the forge's rules want before it merges, and what was heard of it for the head."""

    name = serializers.CharField()
    source = serializers.CharField(help_text="who has to say it; empty: anybody")  # type: ignore[assignment]
    state = serializers.ChoiceField(
        source="said.state",
        choices=OutsideCheck.State.choices,
        default=None,
        allow_null=True,
        help_text="null: unheard",
    )
    conclusion = serializers.CharField(source="said.conclusion", default="", help_text="in the forge's word")
    url = serializers.CharField(source="said.url", default="", help_text="where the forge shows it")


class PullRequestOut(serializers.ModelSerializer):
    required_checks = RequiredCheckOut(source="needed", many=True)
    checks = CheckOut(many=True)
    votes = VoteOut(many=True)
    outside_checks = OutsideCheckOut(many=True)
    feedback = FeedbackOut(many=True)

    class Meta:
        model = PullRequest
        fields = (
            "id", "project", "issue", "task", "number", "title", "body", "branch", "base_branch", "base_sha",
            "head_sha", "merged_sha", "status", "additions", "deletions", "checks", "votes",
            "outside_checks", "required_checks", "feedback", "created_at", "merged_at",
        )  # fmt: skip


class UsageOut(serializers.Serializer):
    """One billed generation."""

    id = serializers.IntegerField(source="usage.pk")
    reference = serializers.CharField(source="usage.hold.reference", help_text="of the attempt, unique")
    generation_id = serializers.CharField(source="usage.generation_id", allow_null=True)
    at = serializers.DateTimeField(help_text="when the call was admitted: the day in which it counts")
    settled_at = serializers.DateTimeField(source="usage.at")
    project = serializers.CharField(source="project.key", default=None, allow_null=True)
    issue = serializers.CharField(source="issue.key", default=None, allow_null=True)
    agent = serializers.CharField(source="agent.name", default=None, allow_null=True)
    role = serializers.CharField()
    run = serializers.IntegerField(allow_null=True)
    message = serializers.IntegerField(allow_null=True, help_text="that it paid for")
    purpose = serializers.CharField()
    outcome = serializers.CharField(help_text="of the run; open: it is not over")
    model_asked = serializers.CharField(source="usage.model_asked")
    model_used = serializers.CharField(source="usage.model_used")
    provider = serializers.CharField(source="usage.provider", help_text="who answered")
    endpoint = serializers.CharField(source="usage.hold.provider", help_text="name of the provider that was called")
    input_tokens = serializers.IntegerField(source="usage.input_tokens")
    cached_tokens = serializers.IntegerField(source="usage.cached_tokens", help_text="among the input")
    cache_write_tokens = serializers.IntegerField(source="usage.cache_write_tokens", help_text="among the input")
    output_tokens = serializers.IntegerField(source="usage.output_tokens")
    reasoning_tokens = serializers.IntegerField(source="usage.reasoning_tokens", help_text="among the output")
    held_usd = UsdField(source="held_nanousd", help_text="what was set aside for it")
    cost_usd = UsdField(source="usage.cost_nanousd")
    cost_source = serializers.ChoiceField(source="usage.cost_source", choices=Usage.Source.choices)


class TotalsOut(serializers.Serializer):
    cost_usd = UsdField(source="cost_nanousd")
    generations = serializers.IntegerField()
    input_tokens = serializers.IntegerField()
    cached_tokens = serializers.IntegerField(help_text="among the input")
    output_tokens = serializers.IntegerField()
    reasoning_tokens = serializers.IntegerField(help_text="among the output")


class UsageGroupOut(serializers.Serializer):
    label = serializers.CharField()  # type: ignore[assignment]
    value = serializers.CharField(help_text="for the filter of the same name; empty: there is no word for it")
    totals = TotalsOut()


class UsagePageOut(serializers.Serializer):
    """A page of usages, or, with ``group_by``, all groups. ``totals`` are those of all pages."""

    count = serializers.IntegerField()
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True, help_text="always null: pages are read forwards")
    totals = TotalsOut()
    at_risk_usd = UsdField(help_text="set aside for calls whose cost is not known yet")
    results = UsageOut(many=True)
    groups = UsageGroupOut(many=True, required=False, help_text="with group_by, in place of results")
