"""The shapes of what the API answers. Writing goes through the input serializers beside each endpoint."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from agents.models import Agent, Message, Run
from budgets.models import Usage
from projects.api.fields import UsdField, shown
from projects.models import Check, Issue, Project, PullRequest, Request, Task, Vote


class CheckCommand(serializers.Serializer):
    """A command that Mission Control runs on every commit before anybody votes."""

    name = serializers.CharField(max_length=100)
    command = serializers.CharField(max_length=2_000)
    timeout_s = serializers.IntegerField(min_value=1, max_value=1_800, default=600)


class ProjectOut(serializers.ModelSerializer):
    checks = CheckCommand(many=True)
    team: serializers.SlugRelatedField[Agent] = serializers.SlugRelatedField("name", many=True, read_only=True)
    cost_usd = serializers.SerializerMethodField()

    class Meta:
        model = Project
        fields = (
            "id", "key", "name", "description", "forge", "repository", "default_branch", "team", "checks",
            "plan_needs_approval", "merge_needs_approval", "fast_lane", "parallel_coders", "max_rework",
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
    """The middle half of what merged tasks of the same sizes cost and took, when the plan was made."""

    low_usd = UsdField(source="low_nanousd")
    high_usd = UsdField(source="high_nanousd")
    low_s = serializers.IntegerField()
    high_s = serializers.IntegerField()
    tasks = serializers.IntegerField(help_text="merged tasks that it rests on")


class IssueWhole(IssueOut):
    tasks = TaskOut(many=True)
    forecast = ForecastOut(allow_null=True)

    class Meta(IssueOut.Meta):
        fields = (*IssueOut.Meta.fields, "forecast", "spec", "definition_of_done", "plan_approved_at", "tasks")  # type: ignore[assignment]


class CheckOut(serializers.ModelSerializer):
    class Meta:
        model = Check
        fields = (
            "id", "name", "command", "on", "sha", "status", "exit_code", "ending", "log", "started_at", "finished_at",
        )  # fmt: skip


class VoteOut(serializers.ModelSerializer):
    by = serializers.CharField(source="actor_name")
    counts = serializers.BooleanField()

    class Meta:
        model = Vote
        fields = (
            "id",
            "kind",
            "by",
            "verdict",
            "summary",
            "findings",
            "criteria",
            "head_sha",
            "counts",
            "at",
        )


class PullRequestOut(serializers.ModelSerializer):
    checks = CheckOut(many=True)
    votes = VoteOut(many=True)

    class Meta:
        model = PullRequest
        fields = (
            "id", "project", "issue", "task", "number", "title", "body", "branch", "base_branch", "base_sha",
            "head_sha", "merged_sha", "status", "additions", "deletions", "checks", "votes", "created_at", "merged_at",
        )  # fmt: skip


class OptionOut(serializers.Serializer):
    value = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]
    wants_text = serializers.BooleanField()
    amount = serializers.CharField(
        required=False, help_text="proposed USD: `text` of the answer may say another amount; empty: no amount is asked"
    )


class RequestOut(serializers.ModelSerializer):
    options = OptionOut(many=True)
    asked_by = serializers.CharField(source="actor_name")
    is_open = serializers.BooleanField()

    class Meta:
        model = Request
        fields = (
            "id", "project", "issue", "task", "pull_request", "kind", "question", "detail", "options", "default",
            "resets_at", "asked_by", "is_open", "answer", "answer_text", "answered_at", "created_at",
        )  # fmt: skip


class AgentOut(serializers.ModelSerializer):
    model = serializers.CharField(source="model.name")
    paused = serializers.BooleanField(source="account.is_frozen")
    cost_usd = serializers.SerializerMethodField()

    class Meta:
        model = Agent
        fields = (
            "id", "name", "role", "model", "temperature", "max_tokens", "tools", "active", "paused", "account",
            "cost_usd",
        )  # fmt: skip

    @extend_schema_field(str)
    def get_cost_usd(self, agent: Agent) -> str:
        return shown(self.context["costs"].get(agent.account_id, 0))


class RunOut(serializers.ModelSerializer):
    agent = serializers.CharField(source="agent.name")
    model = serializers.CharField(source="model.name")
    issue = serializers.IntegerField(source="assignment.issue_id")
    task = serializers.IntegerField(source="assignment.task_id", allow_null=True)
    cost_usd = UsdField(source="cost_nanousd")

    class Meta:
        model = Run
        fields = (
            "id", "agent", "model", "purpose", "issue", "task", "status", "waits_for", "outcome", "outcome_detail",
            "step", "input_tokens", "output_tokens", "cost_usd", "created_at", "started_at", "finished_at",
        )  # fmt: skip


class MessageOut(serializers.ModelSerializer):
    author = serializers.SerializerMethodField()
    cost_usd = serializers.SerializerMethodField()

    class Meta:
        model = Message
        fields = (
            "id", "step", "role", "author", "is_order", "content", "tool_calls", "tool_call_id", "tool_name",
            "is_error", "detail", "finish_reason", "duration_ms", "cost_usd", "created_at",
        )  # fmt: skip

    def get_author(self, message: Message) -> str:
        if who := message.agent or message.user:
            return who.name
        return "Mission Control"

    def get_cost_usd(self, message: Message) -> str | None:
        return shown(message.usage.cost_nanousd) if message.usage else None


class UsageOut(serializers.ModelSerializer):
    reference = serializers.CharField(source="hold.reference")
    cost_usd = UsdField(source="cost_nanousd")

    class Meta:
        model = Usage
        fields = (
            "id", "reference", "generation_id", "at", "model_asked", "model_used", "provider", "input_tokens",
            "output_tokens", "cached_tokens", "reasoning_tokens", "cost_usd", "cost_source",
        )  # fmt: skip
