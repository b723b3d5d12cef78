"""The foundations' own numbers and the examinations that say whether an installation is sound."""

import shutil
import sqlite3
from collections.abc import Mapping
from datetime import timedelta
from importlib import import_module
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Count
from django.utils import timezone
from django_q.models import OrmQ

from mcc.core import metrics, pulse, rekeying, staticfiles
from mcc.core.doctor import Finding, check, fail, ok, warn
from mcc.core.models import Errand, Event

GIBIBYTE = 1024**3
REDIS_TIMEOUT_S = 2


@metrics.gauge("mcc_workers", "Worker processes seen alive.")
def workers() -> int:
    return pulse.workers_alive()


@metrics.gauge("mcc_jobs_queued", "Doorbells that no worker has answered yet.")
def jobs_queued() -> int:
    return OrmQ.objects.count()


@metrics.gauge("mcc_errands", "Errands by status.", label="status")
def errands() -> Mapping[str, int]:
    found = dict(Errand.objects.order_by().values_list("status").annotate(Count("pk")))
    return {status: found.get(status, 0) for status in Errand.Status.values}


@metrics.gauge("mcc_errand_oldest_due_seconds", "How long the oldest errand that is due has been waiting.")
def oldest_errand() -> float:
    due = Errand.objects.filter(status=Errand.Status.QUEUED, not_before__lte=timezone.now())
    since = due.order_by("not_before").values_list("not_before", flat=True).first()
    return (timezone.now() - since) / timedelta(seconds=1) if since else 0


@metrics.counter("mcc_events_total", "Events ever written to the live channel.")
def events() -> int:
    return Event.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


@check("Database")
def database() -> Finding:
    with connection.cursor() as cursor:
        if connection.vendor != "sqlite":
            cursor.execute("SHOW server_version")
            return ok(f"PostgreSQL {cursor.fetchone()[0]}")
        cursor.execute("PRAGMA journal_mode")
        journal = cursor.fetchone()[0]
    mode = settings.DATABASES["default"]["OPTIONS"].get("transaction_mode")
    if (journal, mode) != ("wal", "IMMEDIATE"):
        return fail(
            f"SQLite with journal {journal} and {mode} transactions loses writes under load",
            "Keep MCC_DATA_DIR on a local disk, and the options of the database as settings.py has them.",
        )
    return ok(f"SQLite {sqlite3.sqlite_version} at {connection.settings_dict['NAME']}, WAL, IMMEDIATE")


@check("Migrations")
def migrations() -> Finding:
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        return fail(f"{len(missing)} are not applied", "Run .venv/bin/python manage.py migrate, or make run.")
    return ok("all applied")


@check("Wake-ups")
def wake_ups() -> Finding:
    if not settings.REDIS_URL:
        return ok("through the database; Redis is not needed")
    redis = import_module("redis")  # 7 MB of every process, for those who have one
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=REDIS_TIMEOUT_S) as client:
            client.ping()
    except redis.RedisError as error:
        return fail(f"Redis does not answer: {error}", "Start Redis, or correct or empty REDIS_URL.")
    return ok("through Redis")


@check("Workers")
def workers_alive() -> Finding:
    alive = pulse.workers_alive()
    if not alive:
        return warn("none is running, so no agent works", "Start everything with make run.")
    return ok(f"{alive} alive")


@check("Static files")
def static_files() -> Finding:
    if not settings.DEBUG and not staticfiles.is_collected():
        return warn("not collected, or outdated", "make run does it; by hand: manage.py collectstatic.")
    return ok(str(settings.STATIC_ROOT))


@check("Disk")
def disk() -> Finding:
    free = shutil.disk_usage(settings.DATA_DIR).free
    text = f"{free / GIBIBYTE:.1f} GiB free at {settings.DATA_DIR}"
    if free < GIBIBYTE / 4:
        return fail(text, "Free some space, or move MCC_DATA_DIR to a larger disk.")
    if free < 2 * GIBIBYTE:
        return warn(text, "Each task has a workspace of its own: plan for a few GiB.")
    return ok(text)


@check("Secrets")
def secrets() -> Finding:
    path = Path(settings.DATA_DIR)
    # Passing through is allowed: the sandbox's user must reach the workspaces below.
    if path.stat().st_mode & 0o066:
        return warn(f"others on this machine can read {path}", f"chmod 711 {path}")
    return ok(f"nobody else can read {path}")


@check("Stored secrets")
def stored_secrets() -> Finding:
    if rows := rekeying.unreadable():
        return fail(
            f"none of MCC_ENCRYPTION_KEYS decrypts {', '.join(rows)}",
            "Add the key that they were encrypted with, or enter the secrets anew.",
        )
    return ok("each can be decrypted")


@check("Exposure")
def exposure() -> Finding:
    if settings.DEBUG:
        return warn("DEBUG shows settings and code to every visitor", "Set DEBUG=false unless nobody can reach you.")
    if "*" in settings.ALLOWED_HOSTS:
        return warn("every host name is accepted", "Name the hosts that people use in ALLOWED_HOSTS.")
    return ok("DEBUG is off, hosts are named")
