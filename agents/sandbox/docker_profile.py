"""What a container of a workspace may do, in the words of the Docker Engine's API: the seccomp filter and all settings.

The filter is made of the same table as bubblewrap's. Docker's own lets io_uring and vsock sockets through before
version 25, so it is not relied upon. https://docs.docker.com/engine/api/v1.41/#tag/Container/operation/ContainerCreate
"""

import errno
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from agents.sandbox import seccomp
from agents.sandbox.arguments import HOME
from agents.sandbox.types import MIB, WORKSPACE, Limits

HOLDER_UID, OTHER_HOLDER_UID = 65533, 65532
"""Who keeps the container alive. Never whom commands run as: they could kill it."""
LIFE_S = 4 * 3600
"""A container whose worker and whose reaper are gone ends by itself."""
SHARED_MEMORY = 64 * MIB
ALLOW, FAIL = "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"
EQUAL, GREATER, AT_LEAST, MASKED = "SCMP_CMP_EQ", "SCMP_CMP_GT", "SCMP_CMP_GE", "SCMP_CMP_MASKED_EQ"
ARCHITECTURES = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}
LOW_WORD = 0xFFFFFFFF

Json = dict[str, object]


@cache
def seccomp_profile(machine: str | None = None) -> str:
    """Return the filter as Docker takes it in place of a file. Other architectures' calls kill, x32 too."""
    rules = [
        _rule(sorted(seccomp.DENIED), errno.EPERM),
        _rule(sorted(seccomp.ABSENT), errno.ENOSYS),
        _rule(sorted(seccomp.UNSUPPORTED), errno.EOPNOTSUPP),
        *(_rule(["clone"], errno.EPERM, 0, MASKED, flag, flag) for flag in _bits(seccomp.NAMESPACE_FLAGS)),
        # Masked: the kernel looks at 32 bits of these two, the filter at 64.
        *(_rule(["ioctl"], errno.EPERM, 1, MASKED, LOW_WORD, code) for code in seccomp.IOCTLS),
        *(
            _rule([name], errno.EPERM, index, MASKED, seccomp.DEVICE_BIT, seccomp.DEVICE_BIT)
            for name, index in (("mknod", 1), ("mknodat", 2))
        ),
        *(_rule(["socket", "socketpair"], errno.EAFNOSUPPORT, 0, EQUAL, family) for family in _unknown_families()),
        _rule(["socket", "socketpair"], errno.EAFNOSUPPORT, 0, AT_LEAST, max(seccomp.FAMILIES) + 1),
        _rule(["shmget"], errno.EINVAL, 1, GREATER, seccomp.SHARED_SEGMENT_MAX),
    ]
    architecture = ARCHITECTURES[machine or platform.machine()]
    return json.dumps({"defaultAction": ALLOW, "architectures": [architecture], "syscalls": rules})


def _rule(
    names: list[str], refusal: int, index: int | None = None, comparison: str = "", value: int = 0, second: int = 0
) -> Json:
    rule: Json = {"names": names, "action": FAIL, "errnoRet": refusal}
    if index is not None:
        rule["args"] = [{"index": index, "value": value, "valueTwo": second, "op": comparison}]
    return rule


def _bits(flags: int) -> list[int]:
    return [1 << place for place in range(32) if flags >> place & 1]


def _unknown_families() -> list[int]:
    return [family for family in range(max(seccomp.FAMILIES)) if family not in seccomp.FAMILIES]


@dataclass(frozen=True)
class Bind:
    """A path of the daemon's machine and where commands see it."""

    source: str
    target: str
    read_only: bool


@dataclass(frozen=True)
class Plan:
    """A container to be made for one workspace."""

    image: str
    uid: int
    """As whom commands run: the owner of the workspace."""
    binds: tuple[Bind, ...]
    env: Mapping[str, str]
    limits: Limits
    labels: Mapping[str, str]
    masked: tuple[str, ...] = ()
    """Directories that the image would have as volumes on the disk; small ones in memory take their place."""
    cgroup_version: str = "2"


def config(plan: Plan) -> Json:
    """Return the body of the request that makes the container."""
    holder = HOLDER_UID if plan.uid != HOLDER_UID else OTHER_HOLDER_UID
    return {
        "Image": plan.image,
        "Entrypoint": ["sleep"],
        "Cmd": [str(LIFE_S)],
        "User": f"{holder}:{holder}",
        "Hostname": "sandbox",
        "WorkingDir": WORKSPACE,
        "Env": [f"{name}={value}" for name, value in _environment(plan).items()],
        "Labels": dict(plan.labels),
        "NetworkDisabled": True,
        "HostConfig": {**_isolation(plan), **allotment(plan.limits), **_files(plan)},
    }


def _environment(plan: Plan) -> dict[str, str]:
    own = {
        "HOME": HOME,
        "USER": "agent",
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "TMPDIR": "/tmp",  # noqa: S108 - the container's own
        "MCC_SANDBOX": "docker",
        "GIT_TERMINAL_PROMPT": "0",
    }
    return {**own, **plan.env}


def _isolation(plan: Plan) -> Json:
    settings: Json = {
        "NetworkMode": "none",
        "IpcMode": "private",
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true", f"seccomp={seccomp_profile()}"],
        "Privileged": False,
        "Init": True,
        "RestartPolicy": {"Name": "no"},
        "LogConfig": {"Type": "none"},
        "OomScoreAdj": 900,
        # Segments that nobody has attached count to the memory and would outlive their command.
        "Sysctls": {"kernel.shm_rmid_forced": "1", "kernel.shmall": str(SHARED_MEMORY // 4096)},
    }
    if plan.cgroup_version == "2":
        settings["CgroupnsMode"] = "private"
    else:
        settings["MemorySwappiness"] = 0
    return settings


def allotment(limits: Limits) -> Json:
    """Return what the container gets of the machine: what can be changed while it runs."""
    return {
        "Memory": limits.memory,
        "MemorySwap": limits.memory,
        "NanoCpus": limits.cpus * 1_000_000_000,
        "PidsLimit": limits.processes + HOLDERS,
    }


HOLDERS = 4
"""Processes in a container that are no command's: the first, the one that waits, and two shells around a command."""


def _files(plan: Plan) -> Json:
    limits, own = plan.limits, f"uid={plan.uid},gid={plan.uid}"
    small = "rw,nosuid,nodev,size=16m,mode=1777"
    return {
        "Mounts": [
            {"Type": "bind", "Source": bind.source, "Target": bind.target, "ReadOnly": bind.read_only}
            for bind in plan.binds
        ],
        "Tmpfs": {
            **dict.fromkeys(plan.masked, small),
            "/tmp": f"rw,nosuid,nodev,exec,size={limits.tmp},mode=1777",  # noqa: S108
            "/var/tmp": small,  # noqa: S108
            HOME: f"rw,nosuid,nodev,exec,size={limits.tmp},mode=0700,{own}",
            "/run": "rw,nosuid,nodev,noexec,size=1m,mode=0755",
        },
        "ShmSize": min(limits.tmp, SHARED_MEMORY),
        "Ulimits": [
            {"Name": "nofile", "Soft": limits.open_files, "Hard": limits.open_files},
            {"Name": "core", "Soft": 0, "Hard": 0},
        ],
    }
