"""The system calls that no command needs: a classic BPF program for ``bwrap --seccomp``, made without a library.

Everything is allowed but what widens the kernel's attack surface (bpf, io_uring, new namespaces, mounts, tracing,
keys, modules), reaches the terminal that started us (TIOCSTI), holds memory that no watchdog can see (memfd,
large segments, queues and semaphores of System V), or takes disk faster than any can look (fallocate). https://docs.kernel.org/userspace-api/seccomp_filter.html
"""

import errno
import platform
import struct
from functools import cache

LOAD_WORD, JUMP_EQUAL, JUMP_GREATER, JUMP_GREATER_EQUAL, JUMP_BITS, RETURN = 0x20, 0x15, 0x25, 0x35, 0x45, 0x06
ALLOW, KILL, FAIL = 0x7FFF0000, 0x80000000, 0x00050000
OFFSET_NUMBER, OFFSET_ARCHITECTURE, OFFSET_ARGUMENTS = 0, 4, 16
X32_NUMBERS = 0x40000000

ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
DENIED = {
    # name: number on x86_64, on aarch64 (None: it has none)
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "setns": (308, 268),
    "unshare": (272, 97),
    "open_tree": (428, 428),
    "open_tree_attr": (467, 467),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "reboot": (169, 142),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "syslog": (103, 116),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "vhangup": (153, 58),
    "lookup_dcookie": (212, 18),
    "move_pages": (279, 239),
    "mbind": (237, 235),
    "set_mempolicy": (238, 237),
    "migrate_pages": (256, 238),
    "iopl": (172, None),
    "ioperm": (173, None),
    "modify_ldt": (154, None),
    "uselib": (134, None),
    "_sysctl": (156, None),
}
ABSENT = {  # answered as by an old kernel, so that libraries fall back to what can be watched
    "clone3": (435, 435),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "msgget": (68, 186),
    "semget": (64, 190),
}
UNSUPPORTED = {  # answered as by a file system that cannot, so that libraries write instead, which can be watched
    "fallocate": (285, 47),
}
READING = {  # what is left to a process that has all it needs but what it is to read
    "read": (0, 63),
    "write": (1, 64),
    "fstat": (5, 80),
    "lseek": (8, 62),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "brk": (12, 214),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sched_yield": (24, 124),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "exit": (60, 93),
    "futex": (202, 98),
    "clock_gettime": (228, 113),
    "exit_group": (231, 94),
    "getrandom": (318, 278),
}
CLONE, IOCTL, SHMGET = (56, 220), (16, 29), (29, 194)
SOCKET, SOCKETPAIR = (41, 198), (53, 199)
SETSOCKOPT = (54, 208)
MKNOD, MKNODAT = (133, None), (259, 33)

NAMESPACE_FLAGS = 0x7E020000  # CLONE_NEW: NS, CGROUP, UTS, IPC, USER, PID, NET
DEVICE_BIT = 0x2000  # in S_IFCHR and S_IFBLK, not in those of files, FIFOs and sockets
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
RESERVING = (0x40305828, 0x4030582A, 0x40305839)  # FS_IOC_RESVSP, _RESVSP64, _ZERO_RANGE: fallocate by another name
IOCTLS = (TIOCSTI, TIOCLINUX, *RESERVING)
"""Those that are refused."""
SOL_SOCKET, BUFFER_SIZES = 1, (7, 8)  # SO_SNDBUF, SO_RCVBUF
FAMILIES = (1, 2, 10, 16)  # AF_UNIX, AF_INET, AF_INET6, AF_NETLINK
SHARED_SEGMENT_MAX = 64 * 1024

Instruction = tuple[int, int, int, int]
Program = list[Instruction]


def is_supported(machine: str | None = None) -> bool:
    return (machine or platform.machine()) in ARCHITECTURES


@cache
def program(machine: str | None = None) -> bytes:
    """Return the compiled filter for ``machine`` (default: this one). KeyError: no table for it."""
    audit_number, column = ARCHITECTURES[machine or platform.machine()]
    lines = _right_architecture(audit_number)
    for numbers in DENIED.values():
        lines += _case(numbers[column], [_fail(errno.EPERM)])
    for numbers in ABSENT.values():
        lines += _case(numbers[column], [_fail(errno.ENOSYS)])
    for numbers in UNSUPPORTED.values():
        lines += _case(numbers[column], [_fail(errno.EOPNOTSUPP)])
    lines += _case(CLONE[column], _unless(0, JUMP_BITS, [NAMESPACE_FLAGS], errno.EPERM))
    lines += _case(IOCTL[column], _unless(1, JUMP_EQUAL, list(IOCTLS), errno.EPERM))
    lines += _case(MKNOD[column], _unless(1, JUMP_BITS, [DEVICE_BIT], errno.EPERM))
    lines += _case(MKNODAT[column], _unless(2, JUMP_BITS, [DEVICE_BIT], errno.EPERM))
    lines += _case(SOCKET[column], _known_family())
    lines += _case(SOCKETPAIR[column], _known_family())
    lines += _case(SHMGET[column], _small_segment())
    lines += _case(SETSOCKOPT[column], _usual_buffers())
    return _compiled([*lines, _return(ALLOW)])


@cache
def only_reading(machine: str | None = None) -> bytes:
    """Return a filter for ``machine`` under which a process reads and writes what it has open, and nothing else."""
    audit_number, column = ARCHITECTURES[machine or platform.machine()]
    lines = _right_architecture(audit_number)
    for numbers in READING.values():
        lines += _case(numbers[column], [_return(ALLOW)])
    return _compiled([*lines, _fail(errno.EPERM)])


def _compiled(lines: Program) -> bytes:
    return b"".join(struct.pack("<HBBI", code, yes, no, value) for code, yes, no, value in lines)


def _right_architecture(audit_number: int) -> Program:
    """Kill whoever enters by another table of numbers (int 0x80), refuse x32, load the call's number."""
    return [
        (LOAD_WORD, 0, 0, OFFSET_ARCHITECTURE),
        (JUMP_EQUAL, 1, 0, audit_number),
        _return(KILL),
        (LOAD_WORD, 0, 0, OFFSET_NUMBER),
        (JUMP_GREATER_EQUAL, 0, 1, X32_NUMBERS),
        _fail(errno.ENOSYS),
    ]


def _case(number: int | None, body: Program) -> Program:
    """Run ``body``, which must end in a return, for one system call."""
    return [] if number is None else [(JUMP_EQUAL, 0, len(body), number), *body]


def _unless(argument: int, test: int, values: list[int], refusal: int) -> Program:
    """Refuse when an argument passes ``test`` with any of ``values``, allow otherwise."""
    lines: Program = [_load(argument)]
    for value in values:
        lines += [(test, 0, 1, value), _fail(refusal)]
    return [*lines, _return(ALLOW)]


def _known_family() -> Program:
    lines: Program = [_load(0)]
    for family in FAMILIES:
        lines += [(JUMP_EQUAL, 0, 1, family), _return(ALLOW)]
    return [*lines, _fail(errno.EAFNOSUPPORT)]


def _usual_buffers() -> Program:
    """Do nothing and say that it was done: what waits in sockets is memory of nobody's, so they keep the usual size."""
    lines: Program = [_load(1), (JUMP_EQUAL, 1, 0, SOL_SOCKET), _return(ALLOW), _load(2)]
    for option in BUFFER_SIZES:
        lines += [(JUMP_EQUAL, 0, 1, option), _fail(0)]
    return [*lines, _return(ALLOW)]


def _small_segment() -> Program:
    return [
        _load(1, high=True),
        (JUMP_EQUAL, 1, 0, 0),
        _fail(errno.EINVAL),
        _load(1),
        (JUMP_GREATER, 0, 1, SHARED_SEGMENT_MAX),
        _fail(errno.EINVAL),
        _return(ALLOW),
    ]


def _load(argument: int, *, high: bool = False) -> Instruction:
    return (LOAD_WORD, 0, 0, OFFSET_ARGUMENTS + 8 * argument + (4 if high else 0))


def _return(value: int) -> Instruction:
    return (RETURN, 0, 0, value)


def _fail(number: int) -> Instruction:
    return _return(FAIL | number)
