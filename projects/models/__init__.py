from projects.models.assignment import Assignment
from projects.models.blob_tags import BlobTags
from projects.models.issue import Issue, IssueStatus, Task, TaskStatus, Transition
from projects.models.knowledge import Knowledge, Report, Suggestion
from projects.models.outside_check import OutsideCheck
from projects.models.project import Membership, Project, ProjectTemplate
from projects.models.pull_request import Check, Feedback, PullRequest, Vote, VoteWithdrawal
from projects.models.request import Request
from projects.models.setup import Setup

__all__ = [
    "Assignment",
    "BlobTags",
    "Check",
    "Feedback",
    "Issue",
    "IssueStatus",
    "Knowledge",
    "Membership",
    "OutsideCheck",
    "Project",
    "ProjectTemplate",
    "PullRequest",
    "Report",
    "Request",
    "Setup",
    "Suggestion",
    "Task",
    "TaskStatus",
    "Transition",
    "Vote",
    "VoteWithdrawal",
]
