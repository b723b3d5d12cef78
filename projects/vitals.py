"""What the company needs of the machine, for the doctor."""

from mcc.core.doctor import Finding, check, fail, ok
from projects.git import host

GIT_NEEDED = (2, 38)


@check("git")
def git() -> Finding:
    needed = ".".join(map(str, GIT_NEEDED))
    try:
        version = host.version()
    except (OSError, host.GitFailed):
        return fail("not found", f"Install git {needed} or later.")
    if tuple(int(part) for part in version.split(".")[:2]) < GIT_NEEDED:
        return fail(f"{version} is too old", f"Install git {needed} or later: merges are made without a checkout.")
    return ok(version)
