"""Who stops a run does not wait until its workspace is made, and loses nothing by that. With real git and sandboxes."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from math import inf

import pytest
from django.db import connection

from agents.errors import Interrupted
from agents.services import runs
from agents.tests.workbench import finished, hosted
from agents.workplaces import workplace_of
from mcc.core.tests.machinery import wait_until
from projects.forge import CloneSpec, Unavailable
from projects.git import Mirror
from projects.git.lock import Busy
from projects.models import Assignment, Project, Task
from projects.services import scheduling
from projects.tests import factories
from projects.tests.repositories import atlas, place
from tests import processes
from tests.timing import best_s

__all__ = ["atlas", "place"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sandbox]

DIRECTORIES, FILES = 20, 250


def coding(atlas):
    """Return a run that codes on a copy of ``atlas``."""
    project = factories.project(repository=str(atlas.path), checks=[], merge_needs_approval=False)
    issue = factories.planned(project)
    Task.objects.update(base_sha=atlas.head())
    scheduling.advance(issue.pk)
    Mirror(project.pk).fetch()
    return Assignment.objects.get().run


def fill(atlas):
    """Commit files that take a second to write, or several."""
    blob = atlas.git("hash-object", "-w", "--stdin", stdin="content\n")
    files = atlas.git("mktree", stdin="".join(f"100644 blob {blob}\tfile-{n}\n" for n in range(FILES)))
    tree = atlas.git("mktree", stdin="".join(f"040000 tree {files}\tdirectory-{n}\n" for n in range(DIRECTORIES)))
    atlas.git("update-ref", "refs/heads/main", atlas.git("commit-tree", tree, "-m", "Many files"))


def opening(room):
    """Open the workspace of ``room`` in this thread."""
    try:
        return room.sandbox()
    finally:
        connection.close()


def broken_off_s(run) -> float:
    """Return how long it takes to break off who is making the workspace; for ever, where that was done before."""
    first = workplace_of(run)
    with ThreadPoolExecutor(1) as threads:
        opened = threads.submit(opening, first)
        wait_until(lambda: first.workspace.sandbox is not None or opened.done())
        time.sleep(0.1)
        began = time.monotonic()
        first.close()
        took_s = time.monotonic() - began
        if isinstance(opened.exception(), Interrupted):
            return took_s
    first.workspace.discard()
    return inf


def test_a_workspace_that_is_being_made_is_broken_off_and_made_anew_the_next_time(atlas):
    fill(atlas)
    run = coding(atlas)

    assert best_s(lambda: broken_off_s(run), 2) < 2

    second = workplace_of(run)
    try:
        shown = second.sandbox().sh("git status --short | wc -l; git ls-files | wc -l; find . -name 'file-*' | wc -l")
        assert shown.text.split() == ["0", str(DIRECTORIES * FILES), str(DIRECTORIES * FILES)]
    finally:
        second.close()


@pytest.fixture
def silence():
    """A server that takes every call and never says a word: git waits for it a quarter of an hour."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


def test_a_run_that_is_stopped_ends_though_its_workspace_waits_for_a_server(atlas, silence):
    run = coding(atlas)
    project = Project.objects.get()
    Project.objects.update(repository=silence)
    with hosted():
        wait_until(lambda: processes.naming(silence), 30)
        runs.cancel(run, reason="enough")
        wait_until(lambda: finished(run), 30)
        wait_until(lambda: not processes.naming(silence) and not is_locked(Mirror(project.pk)), 30)


def test_who_waits_for_a_fetch_that_another_waits_for_is_let_go(place, silence):
    project = factories.project()
    mirror, stop = Mirror(project.pk), threading.Event()
    with ThreadPoolExecutor(2) as threads:
        asking = threads.submit(mirror.fetch_from, CloneSpec(silence), stop)
        wait_until(lambda: processes.naming(silence), 30)
        waiting = threads.submit(Mirror(project.pk).fetch_from, CloneSpec(silence), stop)
        stop.set()
        for broken_off in (asking, waiting):
            with pytest.raises(Unavailable, match=r"[Nn]obody waits for"):
                broken_off.result(30)
    assert not is_locked(mirror)


def is_locked(mirror):
    """Whether somebody is at the objects of ``mirror``."""
    lock = mirror.lock()
    lock.wait_s = 0
    try:
        lock.acquire()
    except Busy:
        return True
    lock.release()
    return False


def test_who_is_stopped_before_the_workspace_is_begun_begins_none(atlas):
    run = coding(atlas)
    first = workplace_of(run)
    looking, stopped = threading.Event(), threading.Event()
    base = first.base

    def slow_base():
        looking.set()
        assert stopped.wait(10)
        return base()

    first.base = slow_base
    with ThreadPoolExecutor(2) as threads:
        opened = threads.submit(opening, first)
        assert looking.wait(10)
        closed = threads.submit(first.close)
        wait_until(first._broken_off.is_set)
        stopped.set()
        with pytest.raises(Interrupted):
            opened.result()
        closed.result()

    second = workplace_of(run)
    assert second.sandbox().read_file("README.md").data == b"Atlas\n"
    second.close()
