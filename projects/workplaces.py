"""Where runs work: an issue (read-only, at the default branch), a task (the Coder's tree, or a judge's own), a project.

The sandbox is opened while the model gives its first answer, or at the first tool call that needs it: outside any
transaction, in a thread for commands.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath

from agents import workplaces
from agents.errors import Interrupted
from agents.models import Purpose, Run
from agents.sandbox.types import Sandbox
from projects import briefing, instructions, repomap
from projects.git import Mirror, Workspace
from projects.models import Assignment, Issue, Project, PullRequest, Task
from projects.ranking import Interest
from projects.services import setups
from projects.services.coding import CODING_PURPOSES
from projects.services.tidying import workspace_key

logger = logging.getLogger(__name__)

READ_ONLY_BRANCH = "reading"
TEST_DIRECTORIES = frozenset({"test", "tests", "testing", "spec", "specs", "__tests__"})


class ProjectPlace:
    """A project's default branch, to read. The base of the other kinds."""

    def __init__(self, run: Run, project: Project) -> None:
        self.run = run
        self.project = project
        self.issue: Issue | None = None
        self.task: Task | None = None
        self.workspace = Workspace(workspace_key(run), Mirror(project.pk))
        self._opening = threading.Lock()
        self._breaking = threading.Lock()
        self._is_opening = False
        self._broken_off = threading.Event()
        self._sandbox: Sandbox | None = None

    def pinned(self) -> str:
        return briefing.of_project(self.project)

    def map(self) -> str:
        """Return what the repository tells agents about itself, and a map of it."""
        mirror, files = self.workspace.mirror, self.task.files if self.task else ()
        with self._unless_broken_off():
            mirror.fetch(self._broken_off)
        told = instructions.read(mirror, self.project, files)
        interest = Interest.of(self.pinned(), files)
        drawn = repomap.draw(mirror, self.base(), repomap.room(self.run.model.context_tokens), interest)
        return "\n\n".join(part for part in (told.text if told else "", drawn) if part)

    def base(self) -> str:
        """Return the commit that the run starts from, which the mirror has."""
        return self.workspace.mirror.head(self.project.default_branch)

    def sandbox(self) -> Sandbox:
        with self._opening:
            if self._sandbox is None:
                self._sandbox = self._opened()
            return self._sandbox

    def _opened(self) -> Sandbox:
        with self._breaking:
            if self._broken_off.is_set():
                raise Interrupted
            self._is_opening = True
        with self._unless_broken_off():
            try:
                return self.open()
            finally:
                with self._breaking:
                    self._is_opening = False

    @contextmanager
    def _unless_broken_off(self) -> Iterator[None]:
        """Raise Interrupted at the end of the work inside, however it ended, if it was broken off meanwhile."""
        try:
            yield
        except Exception as problem:
            if self._broken_off.is_set():
                raise Interrupted from problem
            raise
        if self._broken_off.is_set():
            raise Interrupted

    def open(self) -> Sandbox:
        """Return the sandbox on a tree fit for the run."""
        self.workspace.mirror.fetch(self._broken_off)
        base = self.base()
        equipment = setups.equipment_for_reading(self.workspace.mirror, base)
        return self.workspace.open(base, READ_ONLY_BRANCH, equipment)

    def may_write(self, path: str) -> bool:
        return False

    def break_off(self) -> None:
        with self._breaking:
            self._broken_off.set()
            if self._is_opening:
                self.workspace.break_off()

    def close(self) -> None:
        """Break off whoever is just opening it, and wait for them: what they open after us nobody would ever close."""
        self.break_off()
        with self._opening:
            self._sandbox = None
            self.workspace.close()


class IssuePlace(ProjectPlace):
    """Where the Architect reads."""

    issue: Issue

    def __init__(self, run: Run, issue: Issue) -> None:
        super().__init__(run, issue.project)
        self.issue = issue

    def pinned(self) -> str:
        return briefing.of_issue(self.issue)


class TaskPlace(ProjectPlace):
    """Where a task is coded, and where a commit of it is judged."""

    issue: Issue
    task: Task

    def __init__(self, run: Run, task: Task) -> None:
        super().__init__(run, task.issue.project)
        self.issue, self.task = task.issue, task

    def pinned(self) -> str:
        return briefing.of_task(self.task, Purpose(self.run.purpose))

    def open(self) -> Sandbox:
        if self.run.purpose not in briefing.JUDGES:
            self.workspace.mirror.fetch(self._broken_off)
        base = self.base()
        equipment = setups.equipment(self.workspace.mirror, base)
        sandbox = self.workspace.open(base, self.task.branch or READ_ONLY_BRANCH, equipment)
        if self.run.purpose == Purpose.RESOLVE:
            conflicts = self.workspace.begin_merge(Assignment.objects.get(run=self.run).head_sha)
            logger.info("run %s resolves %s files", self.run.pk, len(conflicts))
        return sandbox

    def may_write(self, path: str) -> bool:
        if self.run.purpose == Purpose.TEST:
            return is_test(path)
        return self.run.purpose in CODING_PURPOSES

    def base(self) -> str:
        """Return the commit that is judged, or that the task's tree is made from: its own, or the default branch's.

        The latter is decided at the first look, when everything the task builds on is merged, and kept.
        """
        mirror = self.workspace.mirror
        if self.run.purpose in briefing.JUDGES:
            return Assignment.objects.get(run=self.run).head_sha
        if not self.task.base_sha:
            Task.objects.filter(pk=self.task.pk, base_sha="").update(base_sha=mirror.head(self.project.default_branch))
            self.task.refresh_from_db(fields=["base_sha"])
        head = PullRequest.objects.filter(task=self.task).values_list("head_sha", flat=True).first()
        return head or self.task.base_sha


def is_test(path: str) -> bool:
    """Whether ``path`` is where tests live: below a directory of tests, or named as one."""
    parts = PurePosixPath(path).parts
    name = parts[-1] if parts else ""
    stem = name.partition(".")[0]
    named = stem.startswith("test_") or stem.endswith("_test") or ".test." in name or ".spec." in name
    return bool(TEST_DIRECTORIES.intersection(parts[:-1])) or named


def of_task(run: Run) -> TaskPlace:
    return TaskPlace(run, Task.objects.select_related("issue__project").get(pk=_key(run)))


def of_issue(run: Run) -> IssuePlace:
    return IssuePlace(run, Issue.objects.select_related("project").get(pk=_key(run)))


def of_project(run: Run) -> ProjectPlace:
    return ProjectPlace(run, Project.objects.get(pk=_key(run)))


def _key(run: Run) -> int:
    return int(run.workplace.rpartition(":")[2])


def register() -> None:
    """Bring the three kinds to the engine."""
    workplaces.register("task", of_task)
    workplaces.register("issue", of_issue)
    workplaces.register("project", of_project)
