"""What an agent must not get at. Each test is an attack that would succeed in a plain subprocess."""

import os
import socket
import threading
from pathlib import Path

import pytest
from django.conf import settings

from agents.sandbox import places, seccomp
from agents.sandbox.errors import PathProblem, SandboxPathError, SandboxUnavailable
from agents.sandbox.types import Ending, Mount, SandboxSpec
from mcc.core.errors import InvalidInput

pytestmark = pytest.mark.sandbox
PYTHON = Path("/usr/bin/python3")
needs_python = pytest.mark.skipif(not PYTHON.exists(), reason="the host has no /usr/bin/python3")


def test_the_hosts_files_do_not_exist_inside(backend, sandbox):
    secret = Path(settings.DATA_DIR) / "a-secret-of-the-app"
    secret.write_text("hunter2")
    secret.chmod(0o644)
    names = ["/home/*/.ssh", str(secret), str(settings.BASE_DIR), "/var/lib/mcc", "/run/*"]
    if backend.name == "bwrap":
        names += ["/etc/shadow", "/root", "/boot"]  # an image has its own, and shows nothing of them

    result = sandbox.sh(
        f"ls -d {' '.join(names)} 2>/dev/null; cat {secret} /etc/shadow /root/.[a-z]* 2>/dev/null;"
        " ls -A /root /boot 2>/dev/null | grep -v :; true"
    )

    assert (result.outcome, result.text.strip()) == (Ending.EXITED, "")


def test_other_workspaces_do_not_exist_inside(sandbox, make_sandbox):
    other = make_sandbox()
    other.write_file("plan.txt", b"theirs")

    result = sandbox.sh(f"cat {other.spec.workspace}/plan.txt; find / -maxdepth 3 -name plan.txt 2>/dev/null")

    assert "theirs" not in result.text
    assert "/plan.txt\n" not in result.text


def test_the_root_holds_nothing_unexpected(backend, sandbox):
    expected = {
        *("bin", "dev", "etc", "home", "lib", "lib32", "lib64", "libx32", "proc", "sbin", "tmp", "usr", "var"),
        "workspace",
    }
    if backend.name == "docker":
        expected |= {".dockerenv", "boot", "media", "mnt", "opt", "root", "run", "srv", "sys"}

    assert set(sandbox.sh("ls -A /").text.split()) <= expected


def test_the_apps_environment_is_nowhere_to_be_read(sandbox, monkeypatch):
    monkeypatch.setenv("MCC_TEST_SECRET", "hunter2-in-environ")

    result = sandbox.sh("env; cat /proc/*/environ | tr '\\0' '\\n'")

    assert "hunter2" not in result.text
    assert "SECRET_KEY" not in result.text


def test_no_open_file_of_the_app_is_inherited(sandbox, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    leaky = os.open(secret, os.O_RDONLY)
    os.set_inheritable(leaky, True)
    try:
        result = sandbox.sh('cd /proc/self/fd && echo *; for p in /proc/[0-9]*/fd/*; do readlink "$p"; done')
    finally:
        os.close(leaky)

    first, *links = result.text.splitlines()
    assert first.split()[:3] == ["0", "1", "2"]
    assert not [link for link in links if "secret" in link or "memfd" in link]
    assert sandbox.sh("cat <&3; cat <&4; cat <&5; cat <&6; cat <&7; cat <&8").text.count("Bad file descriptor") == 6


def test_variables_and_mounts_show_in_no_command_line(make_sandbox):
    sandbox = make_sandbox(env={"NOT_FOR_PS": "value-not-for-ps"})

    result = sandbox.sh("echo $NOT_FOR_PS; tr '\\0' ' ' < /proc/1/cmdline")

    assert result.text.startswith("value-not-for-ps\n")
    assert result.text.count("value-not-for-ps") == 1
    assert str(sandbox.spec.workspace) not in result.text


def test_only_the_sandboxs_own_processes_are_seen_and_signalled(sandbox):
    result = sandbox.sh(
        f"ls -d /proc/[0-9]* | wc -l; kill -0 {os.getpid()} 2>&1; ls /proc/{os.getpid()} 2>&1; kill -9 -1"
    )

    assert int(result.text.split()[0]) <= 6
    assert "No such process" in result.text
    assert "No such file" in result.text


def test_nothing_outside_workspace_and_temporary_directories_can_be_written(sandbox):
    result = sandbox.sh(
        "for d in / /usr /usr/bin /etc /dev /proc/sys/kernel /var /mcc /sys /etc/passwd /proc/sysrq-trigger; do"
        ' (echo x > "$d/mcc-probe" || echo x >> "$d") 2>/dev/null && echo "wrote $d"; done;'
        " mkdir /new /usr/new 2>/dev/null && echo made; chmod 777 / /etc 2>/dev/null && echo chmodded; true"
    )

    assert result.text == ""


def test_there_is_no_network_but_an_empty_loopback(sandbox):
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    targets = [("127.0.0.1", port), ("169.254.169.254", 80), ("1.1.1.1", 53), ("10.0.0.1", 22)]
    try:
        result = sandbox.sh(
            "; ".join(
                f"timeout 1 bash -c 'echo > /dev/tcp/{host}/{port}' 2>/dev/null && echo reached"
                for host, port in targets
            )
            + "; tail -n +3 /proc/net/dev | cut -d: -f1"
        )
    finally:
        listener.close()

    assert result.text.split() == ["lo"]


@needs_python
def test_abstract_unix_sockets_of_the_host_are_out_of_reach(sandbox):
    server = socket.socket(socket.AF_UNIX)
    server.bind("\0mcc-test-abstract")
    server.listen()
    try:
        result = sandbox.run(
            ["/usr/bin/python3", "-c", "import socket; socket.socket(socket.AF_UNIX).connect('\\0mcc-test-abstract')"]
        )
    finally:
        server.close()

    assert "ConnectionRefusedError" in result.text
    assert sandbox.sh("ls /run/docker.sock /var/run/docker.sock /run/dbus").exit_code == 2


def test_no_privilege_can_be_gained(sandbox):
    result = sandbox.sh(
        "grep -E '^(CapEff|CapPrm|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status;"
        "for c in 'mount -t tmpfs x /tmp' 'unshare -Ur id' 'chroot / id' 'umount /usr' 'mknod d b 8 0'"
        " 'mknod c c 1 1' 'nsenter -t 1 -m id' 'hostname x'; do"
        ' $c < /dev/null > /dev/null 2>&1 && echo "did: $c"; done; true'
    )

    words = dict(line.split(":\t") for line in result.text.splitlines())
    assert words == {
        "CapPrm": "0000000000000000",
        "CapEff": "0000000000000000",
        "CapBnd": "0000000000000000",
        "NoNewPrivs": "1",
        "Seccomp": "2",
    }


def test_set_uid_bits_do_nothing(sandbox):
    own = sandbox.sh("id -u").text

    assert own != "0\n"
    assert sandbox.sh("cp /usr/bin/id ./mine && chmod 6755 mine && ./mine -u").text == own
    assert sandbox.sh("su -c id < /dev/null; find / -xdev -perm -4000 -exec {} \\; 2>&1 | grep uid=0").exit_code == 1


def test_devices_of_the_host_are_absent(backend, sandbox):
    result = sandbox.sh("ls -A /dev; ls /dev/mem /dev/vda /dev/sda /dev/kmsg 2>/dev/null; true")

    expected = {"console", "core", "fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout"}
    private = {"mqueue"} if backend.name == "docker" else set()  # of the container's own ipc namespace
    assert set(result.text.split()) <= expected | private | {"tty", "urandom", "zero"}


@needs_python
def test_dangerous_system_calls_and_socket_families_are_refused(sandbox):
    column = seccomp.ARCHITECTURES[os.uname().machine][1]
    numbers = {
        name: pair[column] for name, pair in (seccomp.DENIED | seccomp.ABSENT).items() if pair[column] is not None
    }
    script = f"""
import ctypes, errno, socket
libc = ctypes.CDLL(None, use_errno=True)
def call(*arguments):
    ctypes.set_errno(0)
    return errno.errorcode.get(ctypes.get_errno()) if libc.syscall(*arguments) == -1 else "allowed"
numbers = {numbers!r}
for name, number in numbers.items():
    print(name, call(number, 0, 0, 0, 0, 0, 0))
# In earnest: a filter that is older than the call leaves it to the kernel, which wants a capability.
print("open_tree_attr", call(numbers["open_tree_attr"], -100, b"/usr", 1, ctypes.create_string_buffer(32), 32))
for family in (3, 4, 9, 17, 21, 31, 38, 40, 44):
    for name, number in (("socket", {seccomp.SOCKET[column]}), ("socketpair", {seccomp.SOCKETPAIR[column]})):
        print(f"{{name}}-{{family}}", call(number, family, 2, 0, ctypes.create_string_buffer(8)))
for flag in (0x10000000, 0x00020000, 0x20000000, 0x40000000, 0x08000000, 0x04000000, 0x02000000):
    print(f"clone-{{flag:x}}", call({seccomp.CLONE[column]}, flag | 17, 0, 0, 0, 0))
print("TIOCSTI", call({seccomp.IOCTL[column]}, 0, 0x5412, ctypes.create_string_buffer(b"x")))
print("shmget", call({seccomp.SHMGET[column]}, 0, 1 << 20, 0o1600))
print("shmget-high", call({seccomp.SHMGET[column]}, 0, ctypes.c_uint64((1 << 40) + 1), 0o1600))
print("shmget-small", call({seccomp.SHMGET[column]}, 0, 4096, 0o1600))
"""
    answers = dict(line.split() for line in sandbox.run(["/usr/bin/python3", "-c", script]).text.splitlines())

    expected = dict.fromkeys(answers, "EPERM")
    expected |= dict.fromkeys(seccomp.ABSENT, "ENOSYS")
    expected |= {name: "EAFNOSUPPORT" for name in answers if name.startswith("socket")}
    expected |= {"shmget": "EINVAL", "shmget-high": "EINVAL", "shmget-small": "allowed"}
    assert len(answers) > 80
    assert answers == expected


@needs_python
def test_programs_that_need_threads_pipes_and_fifos_still_work(sandbox):
    script = """
import json, ssl, multiprocessing, os, pty, sqlite3, subprocess, tempfile, threading, asyncio, socket
threads = [threading.Thread(target=len, args=("",)) for _ in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
os.mkfifo("/tmp/fifo"); pty.openpty(); socket.socketpair(); asyncio.run(asyncio.sleep(0))
with multiprocessing.Pool(2) as pool: assert pool.map(abs, [-1, -2]) == [1, 2]
server = socket.create_server(("127.0.0.1", 0)); socket.create_connection(server.getsockname())
print(subprocess.check_output(["git", "--version"], text=True))
"""
    result = sandbox.run(["/usr/bin/python3", "-c", script])

    assert (result.exit_code, result.text[:11]) == (0, "git version")


def test_a_directory_of_the_agents_choice_never_leads_to_the_host(sandbox):
    sandbox.sh(
        'for n in $(seq 0 40); do ln -s "/proc/self/fd/$n" "evil$n"; ln -s "/proc/1/root" root; done 2>/dev/null; true'
    )

    for cwd in [*(f"evil{n}" for n in range(3, 41, 3)), "root"]:
        result = sandbox.sh("pwd -P; ls -a .; ls -a ../../..", cwd=cwd)
        assert "boot" not in result.text
        assert "a-secret" not in result.text
        assert result.exit_code == 125 or result.text.startswith(("/\n", "/workspace", "/dev", "/proc"))


@pytest.mark.parametrize(
    "cwd", ["/proc/self/fd/7", "..", "/", "/etc", "a/../../etc", "/workspace/../proc", "/workspacex"]
)
def test_a_directory_outside_the_workspace_is_refused(sandbox, cwd):
    with pytest.raises(SandboxPathError) as refusal:
        sandbox.sh("pwd", cwd=cwd)

    assert refusal.value.problem is PathProblem.OUTSIDE


def test_a_directory_inside_the_workspace_is_entered_whatever_its_name(sandbox):
    sandbox.sh("mkdir -p -- '-rf' 'a b/$(id)'")

    assert sandbox.sh("pwd", cwd="-rf").text == "/workspace/-rf\n"
    assert sandbox.sh("pwd", cwd="a b/$(id)").text == "/workspace/a b/$(id)\n"
    assert sandbox.sh("pwd", cwd="missing").exit_code == 125


def test_arguments_that_look_like_options_reach_the_program(sandbox):
    assert sandbox.run(["printf", "%s|", "--bind", "-n", "--", "/"]).text == "--bind|-n|--|/|"
    assert sandbox.run(["--bind", "/", "/host"]).exit_code == 127


def test_a_command_too_long_for_the_kernel_is_refused_in_words(sandbox):
    assert sandbox.sh("echo " + "x" * 100_000).output_total == 100_001
    with pytest.raises(InvalidInput, match="file"):
        sandbox.sh("echo " + "x" * 200_000)
    with pytest.raises(InvalidInput):
        sandbox.sh("echo \ud800")


@pytest.mark.parametrize("place", ["env", "argv", "stdin"])
def test_a_nul_byte_cannot_smuggle_options(sandbox, place):
    smuggled = "x\0--ro-bind\0/\0/tmp/host"
    if place == "stdin":
        assert sandbox.run(["wc", "-c"], stdin=smuggled.encode()).text.strip() == str(len(smuggled))
        return
    with pytest.raises(InvalidInput):
        sandbox.run(
            ["ls", "/tmp", smuggled] if place == "argv" else ["ls", "/tmp"],
            env={"X": smuggled} if place == "env" else {},
        )


def test_hard_links_to_files_outside_are_impossible(sandbox):
    assert sandbox.sh("ln /usr/bin/id here; ln /etc/passwd here").exit_code == 1


def test_what_a_command_leaves_in_temporary_directories_is_gone_at_the_next(sandbox):
    sandbox.sh("touch /tmp/left /dev/shm/left ~/left kept")

    assert sandbox.sh("ls /tmp /dev/shm ~ .").text.split() == ["/tmp:", "/dev/shm:", "/home/agent:", ".:", "kept"] or (
        sorted(sandbox.sh("ls -A /tmp /dev/shm ~ .; true").text.replace(":", "").split())
        == sorted(["/tmp", "/dev/shm", "/home/agent", ".", "kept"])
    )


def test_a_trusted_mount_is_seen_and_cannot_be_written(make_sandbox):
    repository = places.reachable_root() / "test-mount"
    places.own_directory(repository, mode=0o755, uid=os.geteuid())
    (repository / "HEAD").write_text("ref: refs/heads/main\n")
    sandbox = make_sandbox(mounts=(Mount(repository, "/mcc/repo.git"),))

    result = sandbox.sh(
        "cat /mcc/repo.git/HEAD; echo x > /mcc/repo.git/HEAD; touch /mcc/repo.git/new; chmod 777 /mcc/repo.git"
    )

    assert result.text.startswith("ref: refs/heads/main\n")
    assert result.text.count("Read-only file system") == 3
    assert [path.name for path in repository.iterdir()] == ["HEAD"]


@pytest.mark.root_only
def test_a_mount_that_the_sandboxs_user_could_not_reach_is_refused_in_words(bwrap, tmp_path):
    tmp_path.chmod(0o700)
    (tmp_path / "repo.git").mkdir()
    workspace = places.make_workspace("test-unreachable")

    with pytest.raises(SandboxUnavailable, match="MCC_WORKSPACES_DIR"):
        bwrap.create(SandboxSpec("test", workspace, (Mount(tmp_path / "repo.git", "/mcc/repo.git"),)))

    places.delete_workspace("test-unreachable")


def test_two_sandboxes_run_side_by_side(make_sandbox):
    sandboxes = [make_sandbox() for _ in range(4)]
    results = {}

    def work(number):
        results[number] = sandboxes[number].sh(f"echo {number} > own; sleep 0.2; cat own").text

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == {number: f"{number}\n" for number in range(4)}
