"""What an agent must not use up."""

import hashlib
import os
from pathlib import Path

import pytest

from agents.sandbox import places
from agents.sandbox.errors import SandboxQuotaError
from agents.sandbox.pump import HeadTail
from agents.sandbox.types import MIB, Ending

pytestmark = pytest.mark.sandbox
PYTHON = "/usr/bin/python3"
needs_python = pytest.mark.skipif(not Path(PYTHON).exists(), reason="the host has no /usr/bin/python3")


def test_head_and_tail_of_a_long_output_are_kept_and_the_rest_is_counted(make_sandbox):
    sandbox = make_sandbox(output_kept=2000)

    result = sandbox.sh("echo first; seq 1 100000; echo last >&2")

    assert result.truncated
    assert result.output_total == 588895 + 6 + 5
    assert result.text.startswith("first\n1\n2\n")
    assert result.text.endswith("100000\nlast\n")
    assert f"[... {result.output_total - 2000} bytes cut ...]" in result.text
    assert len(result.output) < 2100


@pytest.mark.parametrize("keep", [0, 1, 2, 7, 10, 11, 1000])
def test_head_and_tail_lose_nothing_that_fits(keep):
    kept = HeadTail(keep)
    for size in (1, 2, 3, 4):
        kept.feed(b"0123456789"[:size])

    value, is_cut = kept.value()

    whole = b"0010120123"
    assert (kept.total, is_cut) == (10, keep < 10)
    if is_cut:
        assert value.startswith(whole[: keep // 2] + b"\n[...")
        assert value.endswith(b"...]\n" + whole[10 - (keep - keep // 2) :])
    else:
        assert value == whole


def test_a_flood_of_output_is_stopped(sandbox):
    result = sandbox.run(["yes"])

    assert result.outcome is Ending.OUTPUT_LIMIT
    assert 8 * MIB < result.output_total < 64 * MIB
    assert result.wall_s < 4


def test_output_is_heard_while_it_comes(sandbox):
    heard = []

    def listen(data: bytes) -> None:
        heard.append(data)
        (sandbox.spec.workspace / "heard").touch()

    result = sandbox.sh("echo a; until [ -e heard ]; do sleep 0.05; done; echo b", on_output=listen)

    assert (result.outcome, heard) == (Ending.EXITED, [b"a\n", b"b\n"])


def test_an_error_in_the_listener_kills_the_command(sandbox):
    def fail(data):
        raise RuntimeError("the listener broke")

    with pytest.raises(RuntimeError):
        sandbox.sh("echo a; sleep 60", on_output=fail)

    assert sandbox.sh("echo alive").text == "alive\n"


def test_a_megabyte_of_input_passes_and_unread_input_does_no_harm(sandbox):
    data = bytes(range(256)) * 4096

    assert sandbox.run(["sha256sum"], stdin=data).text.split()[0] == hashlib.sha256(data).hexdigest()
    assert sandbox.run(["true"], stdin=data).ok


def test_a_command_that_takes_too_long_is_killed_with_its_children(make_sandbox):
    sandbox = make_sandbox(wall_s=0.5)

    result = sandbox.sh("trap '' TERM INT HUP; (setsid sleep 61 &) ; nohup sleep 61 & sleep 61; echo survived")

    assert (result.outcome, result.exit_code, result.text) == (Ending.TIMEOUT, None, "")
    assert result.wall_s < 5


def test_a_program_that_closes_its_output_is_still_waited_for_and_limited(make_sandbox):
    assert make_sandbox().sh("exec >&- 2>&-; sleep 0.3; exit 7").exit_code == 7
    assert make_sandbox(wall_s=0.5).sh("exec >&- 2>&-; sleep 61").outcome is Ending.TIMEOUT


def test_daemons_do_not_outlive_their_command_nor_hold_it_up(sandbox):
    result = sandbox.sh("(setsid sh -c 'sleep 61; touch /workspace/late' > /dev/null 2>&1 &); (sleep 61 &); echo done")

    assert (result.outcome, result.exit_code, result.text) == (Ending.EXITED, 0, "done\n")
    assert result.wall_s < 6


@needs_python
@pytest.mark.parametrize(
    "hog",
    [
        "x = bytearray(400 << 20)\nfor i in range(0, len(x), 4096): x[i] = 1",
        "import os, time\nfor _ in range(6):\n  if not os.fork(): x = b'x' * (100 << 20); time.sleep(60)\nos.wait()",
        "import mmap, time\nmaps = [mmap.mmap(-1, 50 << 20) for _ in range(40)]\n"
        "for x in maps: x.write(b'x' * (50 << 20))\ntime.sleep(60)",
    ],
    ids=["one process", "many processes", "shared anonymous"],
)
def test_memory_beyond_the_limit_is_not_to_be_had(sandbox, hog):
    result = sandbox.run([PYTHON, "-c", hog])

    refused = result.outcome is Ending.EXITED and "MemoryError" in result.text
    # A child may be killed and its parent go on: what counts is how much they had.
    contained = "memory was used up" in result.detail and result.peak_memory <= 1.05 * 256 * MIB
    assert refused or contained or result.outcome is Ending.MEMORY_LIMIT
    assert (result.peak_memory or 0) < 1024 * MIB
    assert result.wall_s < 7


@needs_python
def test_memory_that_no_watchdog_sees_cannot_be_made(sandbox):
    script = (
        "import os\ntry: os.memfd_create('x')\nexcept OSError as e: print(e.errno)\n"
        "n = 0\ntry:\n  with open('/dev/shm/x', 'wb') as f:\n    while True: n += f.write(b'x' * (1 << 20))\n"
        "except OSError: print(n >> 20)"
    )
    result = sandbox.run([PYTHON, "-c", script])

    errno, mebibytes = result.text.split()
    assert errno == "38"
    assert int(mebibytes) <= 32


@needs_python
def test_memory_in_sockets_counts(sandbox):
    script = (
        "import os, socket, time\n"
        "for child in range(60):\n"
        "  if os.fork() == 0:\n"
        "    pairs = [socket.socketpair() for _ in range(400)]\n"
        "    for pair in pairs:\n"
        "      for end in pair:\n"
        "        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)\n"
        "        end.setblocking(False)\n"
        "        try:\n"
        "          while True: end.send(b'x' * 65536)\n"
        "        except (BlockingIOError, MemoryError, OSError): pass\n"
        "    time.sleep(60)\n"
        "time.sleep(60)"
    )
    result = sandbox.run([PYTHON, "-c", script])

    assert result.outcome is Ending.MEMORY_LIMIT
    assert result.wall_s < 10


@needs_python
def test_system_v_queues_and_semaphores_are_not_to_be_had_and_buffers_keep_their_size(sandbox, backend):
    script = (
        "import ctypes, socket\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "print(libc.msgget(0, 0o1600), ctypes.get_errno(), libc.semget(0, 1, 0o1600), ctypes.get_errno())\n"
        "one, _ = socket.socketpair()\nusual = one.getsockopt(1, 7)\none.setsockopt(1, 7, 1 << 22)\n"
        "one.setsockopt(1, 16, 1)\nprint(one.getsockopt(1, 7) == usual, one.getsockopt(1, 16))"
    )
    said = sandbox.run([PYTHON, "-c", script]).text.split()

    assert said[:4] == ["-1", "38", "-1", "38"]
    assert said[5] == "1", "other options are set as ever"
    assert said[4] == "True" or backend.name == "docker", "a container's are limited by its control group"


def test_a_fork_bomb_ends_with_its_command(make_sandbox):
    sandbox = make_sandbox(wall_s=1)

    result = sandbox.sh(":(){ :|:& };: ; sleep 61")

    assert result.outcome in (Ending.TIMEOUT, Ending.EXITED)
    assert result.wall_s < 6
    assert sandbox.sh("echo alive").text == "alive\n"


@needs_python
def test_no_more_processes_than_allowed_can_exist_at_once(sandbox):
    script = (
        "import os, time\nn = 0\ntry:\n  while n < 400:\n    if not os.fork(): time.sleep(60)\n    n += 1\n"
        "except OSError: pass\nprint(n, flush=True); os._exit(0)"
    )
    assert 40 < int(sandbox.run([PYTHON, "-c", script]).text) <= 64


def test_a_command_uses_no_more_processors_than_it_may(backend, make_sandbox):
    sandbox = make_sandbox(cpus=1)
    if backend.name == "bwrap":
        assert sandbox.run(["nproc"]).text == "1\n"

    result = sandbox.sh(
        "cut -d ' ' -f 1 /proc/uptime; for n in 1 2 3; do timeout 1.5 sh -c 'while :; do :; done' & done; wait;"
        " awk '{print $14 + $15 + $16 + $17}' /proc/$$/stat; cut -d ' ' -f 1 /proc/uptime"
    )

    begun_s, ticks, ended_s = map(float, result.text.split())
    assert ticks / os.sysconf("SC_CLK_TCK") < 1.2 * (ended_s - begun_s)


def test_temporary_directories_are_small(sandbox):
    result = sandbox.sh(
        "for d in /tmp /dev/shm ~; do dd if=/dev/zero of=$d/x bs=1M count=40 2>/dev/null; stat -c %s $d/x; done"
    )

    assert [int(size) for size in result.text.split()] == [32 * MIB] * 3


def test_a_file_cannot_grow_past_the_limit(make_sandbox):
    sandbox = make_sandbox(file_size=MIB)

    assert sandbox.sh("head -c 9M /dev/zero > big; stat -c %s big").text.split()[-1] == str(MIB)


def test_a_workspace_that_grows_too_large_stops_its_command(sandbox):
    result = sandbox.sh("i=0; while :; do i=$((i+1)); head -c 1M /dev/urandom > f$i; done")

    assert result.outcome is Ending.DISK_LIMIT
    assert "64 MiB" in result.detail
    assert places.disk_usage(sandbox.spec.workspace) < 600 * MIB


def test_a_full_workspace_allows_only_to_delete_until_there_is_room(make_sandbox):
    sandbox = make_sandbox(workspace=16 * MIB)
    assert sandbox.sh("i=0; while :; do i=$((i+1)); head -c 1M /dev/urandom > f$i; done").outcome is Ending.DISK_LIMIT

    assert not sandbox.sh("head -c 1M /dev/urandom > another").ok
    with pytest.raises(SandboxQuotaError):
        sandbox.write_file("another.txt", b"x")
    assert sandbox.sh("sleep 0.4; rm -f f*").ok
    assert sandbox.sh("echo x > another; cat another").text == "x\n"


def test_growth_over_many_short_commands_adds_up(make_sandbox):
    sandbox = make_sandbox(workspace=16 * MIB)

    results = [sandbox.sh(f"head -c 2M /dev/urandom > f{n}") for n in range(40)]

    assert not all(result.ok for result in results)
    assert places.disk_usage(sandbox.spec.workspace) < 60 * MIB


def test_large_files_in_hidden_directories_count_too(make_sandbox):
    sandbox = make_sandbox(workspace=16 * MIB)
    script = """
        mkdir d; cd d
        for n in $(seq 60); do name=$(printf '%070d' $n); mkdir $name; cd $name; done
        exec 3> hidden; chmod 000 /workspace/d
        for n in $(seq 300); do head -c 1M /dev/urandom >&3; sleep 0.01; done
    """

    assert sandbox.sh(script).outcome is Ending.DISK_LIMIT


@needs_python
@pytest.mark.parametrize(
    "reserve",
    [
        "os.posix_fallocate(f, 0, 60 << 20)",
        "fcntl.ioctl(f, 0x4030582A, struct.pack('hhqqiI16x', 0, 0, 0, 60 << 20, 0, 0))",
    ],
    ids=["fallocate", "FS_IOC_RESVSP64"],
)
def test_disk_is_not_taken_faster_than_anybody_can_look(sandbox, reserve):
    script = (
        "import fcntl, os, struct\n"
        "for number in range(50):\n"
        "  f = os.open(f'f{number}', os.O_CREAT | os.O_RDWR)\n"
        "  try: " + reserve + "\n"
        "  except OSError as error: print(error.errno); break\n"
    )
    sandbox.run([PYTHON, "-c", script])

    assert places.disk_usage(sandbox.spec.workspace) < 600 * MIB


@needs_python
@pytest.mark.parametrize("keep", ["open", "mapped"])
def test_files_without_a_name_count(sandbox, keep):
    script = (
        "import mmap, os, sys, time\nkept = []\n"
        "for number in range(40):\n"
        "  f = os.open('f', os.O_CREAT | os.O_RDWR)\n"
        "  os.unlink('f')\n"
        "  for _ in range(20): os.write(f, b'x' * (1 << 20))\n"
        "  kept.append(mmap.mmap(f, 20 << 20))\n"
        "  if sys.argv[1] == 'open': kept[-1] = f\n"
        "  else: os.close(f)\n"
        "  time.sleep(0.1)\n"
        "time.sleep(30)"
    )

    result = sandbox.run([PYTHON, "-c", script, keep])

    assert result.outcome is Ending.DISK_LIMIT
    assert result.wall_s < 20


def test_too_many_files_stop_their_command(make_sandbox):
    sandbox = make_sandbox(workspace_files=500)

    result = sandbox.sh("i=0; while :; do i=$((i+1)); : > f$i; done")

    assert result.outcome is Ending.DISK_LIMIT
    assert "500 files" in result.detail


def test_a_command_is_stopped_when_the_hosts_disk_runs_full(make_sandbox):
    sandbox = make_sandbox(host_disk_floor=1 << 60)

    with pytest.raises(SandboxQuotaError):
        sandbox.sh("sleep 5")
