"""The 45 attacks that a sandbox must stop, each against every kind of sandbox that this machine has.

Most are in the modules about their subject; ``ATTACKS`` says where. What had no other place is here.
"""

import importlib
import os
import socket
import threading
import time

import pytest

from agents.sandbox.types import MIB, Ending

pytestmark = pytest.mark.sandbox
PYTHON = "/usr/bin/python3"

ATTACKS = {
    "A01 the host's shadow": "test_isolation.test_the_hosts_files_do_not_exist_inside",
    "A02 the app's .env": "test_isolation.test_the_hosts_files_do_not_exist_inside",
    "A03 another workspace": "test_isolation.test_other_workspaces_do_not_exist_inside",
    "A04 the app's environment": "test_isolation.test_the_apps_environment_is_nowhere_to_be_read",
    "A05 /proc/*/root, cwd, fd": "test_attacks.test_a05_no_way_leads_through_the_processes_of_others",
    "A06 writing to the system": (
        "test_isolation.test_nothing_outside_workspace_and_temporary_directories_can_be_written"
    ),
    "A07 file tools, symlinks": "test_filetools.test_symlinks_lead_nowhere_outside",
    "A08 file tools, writing through symlinks": "test_filetools.test_a_symlink_swapped_in_never_reaches_the_host",
    "A09 file tools, traversal": "test_filetools.test_paths_outside_are_refused",
    "A10 TCP": "test_isolation.test_there_is_no_network_but_an_empty_loopback",
    "A11 UDP and DNS": "test_attacks.test_a11_no_datagram_and_no_name_gets_out",
    "A12 unix sockets of the host": "test_isolation.test_abstract_unix_sockets_of_the_host_are_out_of_reach",
    "A13 signals to the host": "test_isolation.test_only_the_sandboxs_own_processes_are_seen_and_signalled",
    "A14 tracing and memory of the host": "test_attacks.test_a14_no_process_of_the_host_can_be_traced_or_read",
    "A15 set-uid programs": "test_isolation.test_set_uid_bits_do_nothing",
    "A16 mounts and namespaces": "test_isolation.test_no_privilege_can_be_gained",
    "A17 devices": "test_isolation.test_devices_of_the_host_are_absent",
    "A18 system calls and socket families": (
        "test_isolation.test_dangerous_system_calls_and_socket_families_are_refused"
    ),
    "A19 fork bomb": "test_limits.test_a_fork_bomb_ends_with_its_command",
    "A20 number of processes": "test_limits.test_no_more_processes_than_allowed_can_exist_at_once",
    "A21 memory of one process": "test_limits.test_memory_beyond_the_limit_is_not_to_be_had",
    "A22 memory of many processes": "test_limits.test_memory_beyond_the_limit_is_not_to_be_had",
    "A23 temporary directories": "test_limits.test_temporary_directories_are_small",
    "A24 a large file": "test_limits.test_a_file_cannot_grow_past_the_limit",
    "A25 many files": "test_limits.test_a_workspace_that_grows_too_large_stops_its_command",
    "A26 inodes": "test_limits.test_too_many_files_stop_their_command",
    "A27 a flood of output": "test_limits.test_a_flood_of_output_is_stopped",
    "A28 daemons": "test_limits.test_daemons_do_not_outlive_their_command_nor_hold_it_up",
    "A29 deaf to TERM": "test_limits.test_a_command_that_takes_too_long_is_killed_with_its_children",
    "A30 killing the supervisor": "test_killing.test_killing_the_supervisor_from_inside_ends_the_sandbox",
    "A31 cancelling": "test_killing.test_cancelling_kills_everything_within_100_ms_or_300_in_a_container",
    "A32 busy loops": "test_limits.test_a_command_uses_no_more_processors_than_it_may",
    "A33 keys for the terminal": "test_isolation.test_dangerous_system_calls_and_socket_families_are_refused",
    "A34 FIFOs, devices, sparse files": "test_filetools.test_what_is_no_regular_file_is_refused_at_once",
    "A35 hard links": "test_isolation.test_hard_links_to_files_outside_are_impossible",
    "A36 options as arguments, a directory that leads out": (
        "test_isolation.test_a_directory_of_the_agents_choice_never_leads_to_the_host"
    ),
    "A37 a tree that resists": "test_places.test_a_workspace_made_to_resist_is_deleted",
    "A38 shared anonymous memory": "test_limits.test_memory_beyond_the_limit_is_not_to_be_had",
    "A39 memory files": "test_limits.test_memory_that_no_watchdog_sees_cannot_be_made",
    "A40 System V segments": "test_attacks.test_a40_segments_that_nobody_holds_do_not_pile_up",
    "A41 inherited files": "test_isolation.test_no_open_file_of_the_app_is_inherited",
    "A42 memory in sockets": "test_limits.test_memory_in_sockets_counts",
    "A43 System V queues and semaphores, large buffers": (
        "test_limits.test_system_v_queues_and_semaphores_are_not_to_be_had_and_buffers_keep_their_size"
    ),
    "A44 disk without writing": "test_limits.test_disk_is_not_taken_faster_than_anybody_can_look",
    "A45 files without a name": "test_limits.test_files_without_a_name_count",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_every_attack_has_its_test_against_each_kind_of_sandbox(attack, request):
    module, _, name = ATTACKS[attack].partition(".")
    function = getattr(importlib.import_module(f"agents.tests.sandbox.{module}"), name)
    arguments = set(function.__code__.co_varnames[: function.__code__.co_argcount])

    assert arguments & {"sandbox", "make_sandbox"}, "it runs in no sandbox"
    assert {f"A{number:02}" for number in range(1, 46)} == {known[:3] for known in ATTACKS}


def test_a05_no_way_leads_through_the_processes_of_others(sandbox):
    result = sandbox.sh(
        "for p in /proc/[0-9]*; do for n in root cwd; do"
        ' ls -d "$p/$n/boot/grub" "$p/$n/etc/shadow-" "$p/$n/var/lib/mcc"; done 2>/dev/null;'
        ' for f in "$p"/fd/*; do readlink "$f"; done; done'
        " | grep -vE '^((pipe|socket|anon_inode):|/dev/(null|pts)|/proc/)'; true"
    )

    assert (result.outcome, result.text) == (Ending.EXITED, "")


def test_a11_no_datagram_and_no_name_gets_out(sandbox):
    heard = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    heard.bind(("127.0.0.1", 0))
    heard.settimeout(0.2)
    script = f"""
import socket
for target in (("127.0.0.1", {heard.getsockname()[1]}), ("8.8.8.8", 53), ("169.254.169.254", 53)):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        try: sender.sendto(b"out", target)
        except OSError as error: print(error.errno)
try: print(socket.getaddrinfo("example.org", 80))
except socket.gaierror: print("no name")
"""
    try:
        result = sandbox.run([PYTHON, "-c", script])
        with pytest.raises(TimeoutError):
            heard.recv(10)
    finally:
        heard.close()

    assert result.text.split("\n")[-2] == "no name"
    assert result.text.count("101") == 2  # ENETUNREACH


def test_a14_no_process_of_the_host_can_be_traced_or_read(sandbox):
    script = f"""
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
pids = [{os.getpid()}, {os.getppid()}, 1]
for pid in pids:
    if libc.ptrace(16, pid, 0, 0) == 0: print("traced", pid)
for pid in pids[:2]:
    for name in ("mem", "maps", "environ", "root"):
        if os.path.lexists(f"/proc/{{pid}}/{{name}}"): print("sees", pid, name)
        try: print("opened", os.open(f"/proc/{{pid}}/{{name}}", os.O_RDWR))
        except OSError: pass
"""

    assert sandbox.run([PYTHON, "-c", script]).text == ""


def test_a40_segments_that_nobody_holds_do_not_pile_up(sandbox):
    script = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
libc.shmat.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
libc.shmdt.argtypes = (ctypes.c_void_p,)
held = 0
for size in (1 << 20, 64 << 10):
    for _ in range(4000):
        number = libc.shmget(0, size, 0o1600)
        if number < 0: break
        place = libc.shmat(number, None, 0)
        ctypes.memset(place, 1, size)
        libc.shmdt(place)
        held += size
print(held >> 20)
"""
    first = sandbox.run([PYTHON, "-c", script])

    # 4096 segments, of 64 KiB at most, is what the kernel lets a namespace have: as much as the limit allows.
    assert first.outcome is Ending.MEMORY_LIMIT or int(first.text) <= 256
    assert sandbox.sh("tail -n +2 /proc/sysvipc/shm | wc -l").text == "0\n"
    assert sandbox.run([PYTHON, "-c", "x = b'x' * (150 << 20); print(len(x) >> 20)"]).text == "150\n"


def test_what_fills_the_temporary_directories_takes_nothing_from_the_next_command(make_sandbox):
    """F10: a container lives on, and what lies in its memory would count against the limit of all that follows."""
    sandbox = make_sandbox(memory=128 * MIB)
    fill = "for d in /tmp /var/tmp /dev/shm ~; do head -c 30M /dev/zero > $d/x; mkdir -p $d/a/b; chmod 0 $d/a; done"

    for _ in range(2):
        sandbox.sh(fill)

    assert sandbox.sh("ls -A /tmp /dev/shm ~ | grep -v : | grep .").text == ""
    assert sandbox.run([PYTHON, "-c", "x = b'x' * (80 << 20); print(len(x) >> 20)"]).text == "80\n"


def test_a_flood_that_nobody_listens_to_is_cut_off_at_once(make_sandbox):
    """F8: a daemon that is stuck on a full pipe took 10 s to kill, and its container stayed half dead."""
    sandbox = make_sandbox(output=1 << 40)
    cancel = threading.Event()

    def listen(_: bytes) -> None:
        time.sleep(0.2)
        cancel.set()

    before = time.monotonic()
    result = sandbox.run(["yes"], cancel=cancel, on_output=listen)

    assert result.outcome is Ending.CANCELLED
    assert time.monotonic() - before < 7
    assert sandbox.sh("echo alive; ls /proc | grep -c '^[0-9]'").text.startswith("alive\n")
