"""Settings of Mission Control Center: one file, every value from the environment or ``.env``.

With nothing set it boots safely on one machine: SQLite, no Redis, the rehearsal model, secret keys made once
and kept in the data directory. ``X_FILE`` names a file that holds the value of ``X`` (Docker and systemd secrets).
Every variable is described in ``.env.example``.
"""

import atexit
import os
import secrets
import shutil
import sys
import tempfile
from datetime import timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import environ
from django.core.exceptions import ImproperlyConfigured

from mcc import first_start
from mcc.core import redaction

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.FileAwareEnv()
TESTING = "pytest" in sys.modules
if not TESTING and not env.bool("MCC_IGNORE_DOTENV", default=False):
    env.read_env(str(BASE_DIR / ".env"))


def _data_dir() -> Path:
    """Return where everything lives that is not code. Tests get their own, gone when they end.

    Others may go through it, for the sandbox's user must reach the workspaces below.
    """
    if TESTING and "MCC_DATA_DIR" not in os.environ:
        path = Path(tempfile.mkdtemp(prefix="mcc-test-"))
        path.chmod(0o711)
        atexit.register(shutil.rmtree, path, ignore_errors=True)
        return path
    path = Path(env.str("MCC_DATA_DIR", default=str(BASE_DIR / "var"))).absolute()
    path.mkdir(mode=0o711, parents=True, exist_ok=True)
    return path


DATA_DIR = _data_dir()
DEBUG = env.bool("DEBUG", default=False)


def _time_zone() -> str:
    """Return where days begin: the periods of limits, the sums per day, the times on pages. The API speaks UTC."""
    name = env.str("MCC_TIME_ZONE", default="UTC")
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:  # unknown, a directory of names, a path out of it
        raise ImproperlyConfigured(
            f"MCC_TIME_ZONE is {name!r}, which is no time zone: write an IANA name, as in Europe/Berlin"
        ) from error
    return name


# django-q2 signs its jobs with it and sessions hang on it, so it must survive a restart; a default that is the same on
# every installation would let anybody forge both.
SECRET_KEY = env.str("SECRET_KEY", default="") or first_start.secret(
    DATA_DIR, "secret_key", partial(secrets.token_urlsafe, 50), variable="SECRET_KEY"
)
MCC_ENCRYPTION_KEYS = first_start.encryption_keys(DATA_DIR, env.list(first_start.KEYS, default=[]))
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
HTTPS = env.bool("MCC_HTTPS", default=False)

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "channels",
    "django_htmx",
    "django_q",
    "allauth",
    "allauth.account",
    "rest_framework",
    "drf_spectacular",
    "mcc.core",
    "budgets",
    "agents",
    "projects",
    "githubsync",
    "notifications",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "mcc.core.middleware.ContentSecurityPolicy",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "mcc.core.middleware.Refusals",
]

ROOT_URLCONF = "mcc.urls"
ASGI_APPLICATION = "mcc.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "mcc.core.pages.look",
                "projects.shell.shell",
            ],
            "builtins": [
                "django.templatetags.static",
                "mcc.core.templatetags.look",
                "budgets.templatetags.steering",
                "agents.templatetags.team",
                "projects.templatetags.stages",
                "projects.templatetags.stopping",
                "githubsync.templatetags.ways_in",
            ],
        },
    },
]

# --- Database ---------------------------------------------------------------------------------------------
# WAL with IMMEDIATE transactions: deferred ones fail on the read-to-write upgrade, and no time-out helps.
SQLITE_OPTIONS = {
    "timeout": 20,
    "transaction_mode": "IMMEDIATE",
    "init_command": (
        "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;PRAGMA temp_store=MEMORY;"
        "PRAGMA journal_size_limit=67108864;PRAGMA cache_size=-20000;"
        # 64 MB: `mcc.core.checkpoints` is there before.
        "PRAGMA wal_autocheckpoint=16384;"
    ),
}
# A worker keeps its connections. A web process keeps those of threads that stay (`mcc.core.page_threads`), no others.
ROLE = env.str("MCC_ROLE", default="")
DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'mcc.sqlite3'}")}
DATABASES["default"]["CONN_MAX_AGE"] = None if ROLE == "worker" else 0
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = dict(SQLITE_OPTIONS)
else:
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.str("REDIS_URL", default="")
MCC_METRICS_TOKEN = env.str("MCC_METRICS_TOKEN", default="")
CHANNEL_LAYERS = {
    "default": (
        {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [REDIS_URL]}}
        if REDIS_URL
        else {"BACKEND": "channels.layers.InMemoryChannelLayer"}
    )
}

# --- Jobs -------------------------------------------------------------------------------------------------
# The ORM broker always: the Redis broker loses the job of a killed worker. Jobs are short (they ring doorbells);
# retry > timeout x (2 + queue_limit / workers), or a job that waits in the queue runs twice.
Q_CLUSTER = {
    "name": "mcc",
    "orm": "default",
    "workers": env.int("MCC_WORKERS", default=2),
    "timeout": 60,
    "retry": 300,
    "queue_limit": 4,
    "max_attempts": 5,
    "poll": 0.2,
    "save_limit": -1,
    "recycle": 0,
    "catch_up": False,
    "guard_cycle": 0.5,
    "log_level": "WARNING",
}

# --- Accounts, sessions, API ------------------------------------------------------------------------------
AUTH_USER_MODEL = "core.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.BCryptSHA256PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_ADAPTER = "mcc.core.accounts.ClosedSignup"
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_RATE_LIMITS = {"github_sign_in": "10/m/ip"}  # beside allauth's own, counted in the cache, which is bounded
ALLAUTH_TRUSTED_PROXY_COUNT = env.int("MCC_TRUSTED_PROXIES", default=0)

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 31_536_000

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework_simplejwt.authentication.JWTAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.PageNumberPagination",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["mcc.core.api.JSONParser", "rest_framework.parsers.FormParser"],
    "PAGE_SIZE": 50,
    "EXCEPTION_HANDLER": "mcc.core.api.exception_handler",
    "DEFAULT_THROTTLE_RATES": {"token": "10/min"},
    "NUM_PROXIES": ALLAUTH_TRUSTED_PROXY_COUNT,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=15),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=1),
    "CHECK_REVOKE_TOKEN": True,  # a changed password ends every token
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Mission Control Center",
    "VERSION": "1",
    "DESCRIPTION": "Everything that a person can do in the browser, for programs. Amounts are decimal strings in USD.",
    "SERVE_INCLUDE_SCHEMA": False,
    "ENUM_NAME_OVERRIDES": {
        "MembershipRole": "projects.models.Membership.Role",
        "AccountKind": "budgets.models.Account.Kind",
        "DecisionVerdict": "budgets.models.HoldDecision.Verdict",
        "ProviderKind": "agents.models.Provider.Kind",
        "ConnectionKind": "githubsync.models.Connection.Kind",
        "RequestKind": "projects.models.Request.Kind",
        "VoteKind": "projects.models.Vote.Kind",
        "RunStatus": "agents.models.Run.Status",
        "IssueStatus": "projects.models.IssueStatus",
        "TaskStatus": "projects.models.TaskStatus",
        "CheckStatus": "projects.models.Check.Status",
        "PullRequestStatus": "projects.models.PullRequest.Status",
    },
}

# --- Models, sandboxes, GitHub ----------------------------------------------------------------------------
OPENROUTER_API_KEY = env.str("OPENROUTER_API_KEY", default="")
OPENROUTER_KEY_HASH = env.str("OPENROUTER_KEY_HASH", default="")
"""Whether the bills of past days can be read. The key itself stays in the environment."""
OPENROUTER_BASE_URL = env.str("OPENROUTER_BASE_URL", default="https://openrouter.ai/api/v1")
MCC_DEFAULT_MODEL = env.str("MCC_DEFAULT_MODEL", default="anthropic/claude-sonnet-4.5")
MCC_REHEARSAL_LATENCY_S = env.float("MCC_REHEARSAL_LATENCY_S", default=0.6)
MCC_REHEARSAL_PLAYS = env.str("MCC_REHEARSAL_PLAYS", default="")
MCC_REHEARSAL_BILL = env.str("MCC_REHEARSAL_BILL", default="")
MCC_RUNNER_MAX_RUNS = env.int("MCC_RUNNER_MAX_RUNS", default=100)
MCC_DATA_COLLECTION = env.str("MCC_DATA_COLLECTION", default="deny")
if MCC_DATA_COLLECTION not in ("deny", "allow"):
    raise ImproperlyConfigured("MCC_DATA_COLLECTION is deny or allow")
MCC_BREAKER_FAILURES = env.int("MCC_BREAKER_FAILURES", default=5)
MCC_RUN_STEPS = env.int("MCC_RUN_STEPS", default=60)
MCC_RUN_MINUTES = env.int("MCC_RUN_MINUTES", default=60)
MCC_RUN_COST_USD = env.str("MCC_RUN_COST_USD", default="2.00")
MCC_SANDBOX = env.str("MCC_SANDBOX", default="auto")
MCC_SANDBOX_UID = env.int("MCC_SANDBOX_UID", default=61234)
MCC_SANDBOX_CGROUP = env.str("MCC_SANDBOX_CGROUP", default="")
MCC_SANDBOX_RO_PATHS = env.list("MCC_SANDBOX_RO_PATHS", default=[])
MCC_SANDBOX_OPTIONAL_PATHS = env.list("MCC_SANDBOX_OPTIONAL_PATHS", default=[])
MCC_SANDBOX_MAX_WALL_S = env.int("MCC_SANDBOX_MAX_WALL_S", default=1800)
MCC_SANDBOX_MAX_MEMORY_MIB = env.int("MCC_SANDBOX_MAX_MEMORY_MIB", default=4096)
MCC_SANDBOX_MAX_CPUS = env.int("MCC_SANDBOX_MAX_CPUS", default=2)
MCC_SANDBOX_MAX_PROCESSES = env.int("MCC_SANDBOX_MAX_PROCESSES", default=1024)
MCC_SANDBOX_MAX_DISK_MIB = env.int("MCC_SANDBOX_MAX_DISK_MIB", default=8192)
MCC_SANDBOX_IMAGE = env.str("MCC_SANDBOX_IMAGE", default="")
MCC_SANDBOX_OPTIONAL_IMAGES = env.list("MCC_SANDBOX_OPTIONAL_IMAGES", default=[])
MCC_SANDBOX_PRIVATE_HOSTS = env.list("MCC_SANDBOX_PRIVATE_HOSTS", default=[])
MCC_WORKSPACES_DIR = env.str("MCC_WORKSPACES_DIR", default="")
MCC_WORKSPACES_HOST_PATH = env.str("MCC_WORKSPACES_HOST_PATH", default="")
MCC_WEBHOOK_DAYS = env.int("MCC_WEBHOOK_DAYS", default=14)
MCC_OUTPUT_DAYS = env.int("MCC_OUTPUT_DAYS", default=90)
MCC_POLL_INTERVAL_S = env.int("MCC_POLL_INTERVAL_S", default=60)
MCC_LOCAL_REPOSITORY_ROOTS = env.list("MCC_LOCAL_REPOSITORY_ROOTS", default=[])

EMAIL_CONFIG = env.email("EMAIL_URL", default="consolemail://")
vars().update(EMAIL_CONFIG)

# --- Static files, time, logs -----------------------------------------------------------------------------
STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": (
            "django.contrib.staticfiles.storage.StaticFilesStorage"
            if DEBUG or TESTING
            else "mcc.core.storage.StaticFiles"
        )
    },
}
# Tests and development serve static files from where they lie; production from the collected, hashed ones.
WHITENOISE_USE_FINDERS = WHITENOISE_AUTOREFRESH = DEBUG or TESTING
USE_TZ = True
TIME_ZONE = _time_zone()
LANGUAGE_CODE = "en-us"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "mcc.core.redaction.Formatter",
            "fmt": "%(asctime)s %(levelname)s %(name)s: %(message)s",
        }
    },
    "filters": {"refusals": {"()": "mcc.core.refusals.InOneLine"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.str("MCC_LOG_LEVEL", default="INFO")},
    "loggers": {
        # Django brings handlers of its own, whose formatters would not redact.
        "django": {"handlers": [], "level": "INFO"},
        "django.request": {"filters": ["refusals"]},
        "django.server": {"handlers": [], "propagate": True},
    }
    | {
        # Every URL that httpx opens, every request and every job: not for an operator's log.
        name: {"level": "WARNING"}
        for name in (
            "httpx",
            "httpx2",
            "httpcore2",
            "openai",
            "daphne",
            "asyncio",
            "django.channels.server",
            "django-q",
            # redis would give it a handler of its own, were it not named here.
            "push_response",
        )
    },
}

# Before anything is logged. Stored keys are added when they are read.
redaction.register_environment()
redaction.register(SECRET_KEY, *MCC_ENCRYPTION_KEYS)
if not TESTING:
    redaction.guard_tracebacks()

if DEBUG and not TESTING and ROLE:
    # A page that shows settings and stack frames must not be what strangers get.
    ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]"]
