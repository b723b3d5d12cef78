"""Commands reach the listed hosts and nothing else: a real proxy, real sandboxes, real names, addresses and routes."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from agents.sandbox import places
from agents.sandbox.egress import proxy, way_out
from agents.sandbox.types import Egress, Ending, Result, Sandbox, SandboxBackend
from agents.tests.sandbox.conftest import making
from agents.tests.sandbox.world import ADDRESSES, OURS, PUBLIC, World

pytestmark = [pytest.mark.sandbox, pytest.mark.root_only]
HOSTS = (
    *("packages.example.org", "*.cdn.example.net", "private.example.org", "metadata.example.org"),
    *("carrier.example.org", "loopback.example.org", "mapped.example.org", "myself.example.org", "nowhere.example.org"),
)
CURL = "curl -sS --max-time 8"
RAW = "exec 3<>/dev/tcp/127.0.0.1/3128; printf '%b' \"$ASKED\" >&3; timeout ${WAIT:-8} cat <&3"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("world"))
    yield made
    made.destroy()


@pytest.fixture
def no_network(world: World) -> Iterator[None]:
    """Instead of the bar on everything: nothing leads out of this world."""
    with world.entered():
        yield


@pytest.fixture(scope="module")
def shared(backend: SandboxBackend) -> Iterator[Sandbox]:
    with making(backend) as make:
        yield make(egress=Egress(HOSTS))


@pytest.fixture
def online(shared: Sandbox, no_network: None) -> Sandbox:
    """One sandbox for all tests: a command has a proxy of its own, and nothing of one before it."""
    return shared


def ask(sandbox: Sandbox, text: str) -> str:
    """Send ``text``, with printf's escapes, to the forwarder as it is, and return the answer."""
    return sandbox.sh(RAW, env={"ASKED": text}).text


def refusals(result: Result) -> list[tuple[str, str]]:
    return [(contact.subject, contact.why) for contact in result.contacts if contact.why]


def test_a_listed_host_is_reached_through_a_tunnel(online):
    result = online.sh(f"{CURL} -p http://packages.example.org:443/simple/")

    assert result.ok, result.text
    assert result.text.startswith("GET /simple/ HTTP/1.1\r\nHost: packages.example.org:443")
    [contact] = result.contacts
    assert (contact.subject, contact.why, contact.times) == ("packages.example.org:443", "", 1)
    assert contact.size > 100


def test_a_listed_host_is_reached_by_plain_http(online):
    result = online.sh(f"{CURL} 'http://packages.example.org/simple/?a=b' -H 'X-Mine: yes' -H 'Proxy-Authorization: x'")

    assert "GET /simple/?a=b HTTP/1.1\r\nHost: packages.example.org\r\nConnection: close\r\n" in result.text
    assert "X-Mine: yes" in result.text
    assert "Proxy" not in result.text


def test_a_star_stands_for_names_below_it_only(online):
    below = online.sh(f"{CURL} http://files.cdn.example.net/")
    itself = online.sh(f"{CURL} http://cdn.example.net/")

    assert below.ok
    assert refusals(itself) == [("cdn.example.net:80", "this host is not on the project's list")]


def test_whichever_forwarder_an_image_has_carries_megabytes_both_ways(backend, online):
    for forwarder in ("perl", "python3", "node") if backend.name == "bwrap" else ("perl", "python3"):
        _carry_megabytes(online, forwarder)


def _carry_megabytes(online: Sandbox, forwarder: str) -> None:
    others = " ".join({"perl", "python3", "node"} - {forwarder})
    hide = f'has() {{ case " {others} " in *" $1 "*) return 1;; esac; command -v "$1" >/dev/null; }}'
    script = (way_out.INSIDE / "enter.sh").read_text()
    online.write_file("enter.sh", script.replace(_line(script, "has()"), hide).encode())

    result = online.sh(
        "pkill -f '[/]run/mcc-egress/forward'; sleep 0.2; sh ./enter.sh sh -c '"
        f'{CURL} http://packages.example.org/big | wc -c; pgrep -fl "[/]run/mcc-egress/forward"\''
    )

    size, process = result.text.splitlines()[:2]
    assert size == str(8 << 20)
    assert forwarder in process


def _line(script: str, beginning: str) -> str:
    return next(line for line in script.splitlines() if line.startswith(beginning))


def test_without_anything_to_forward_with_the_command_says_what_the_image_needs(online):
    online.sh("cp -f /run/mcc-egress/enter.sh . && mkdir -p bin && ln -sf /usr/bin/sh bin/sh")

    result = online.sh("PATH=$PWD/bin sh ./enter.sh sh -c 'echo still run'")

    assert "the image needs perl, python3 or node" in result.text
    assert result.text.endswith("still run\n")


def test_who_ignores_the_proxy_gets_nowhere(online):
    result = online.sh(
        f"{CURL} --noproxy '*' http://{PUBLIC}/; {CURL} --noproxy '*' http://{OURS}/; "
        f"{CURL} --noproxy '*' http://169.254.169.254/; (echo > /dev/tcp/{PUBLIC}/443) 2>&1; "
        "wc -l < /proc/net/route"
    )

    assert result.text.count("Couldn't connect") == 3, result.text
    assert f"/dev/tcp/{PUBLIC}/443: Network is unreachable" in result.text
    assert result.text.endswith("1\n")


@pytest.mark.parametrize(
    "name",
    [
        *("evilpackages.example.org", "packages.example.org.evil.example.com", "evil.example.com", "example.org"),
        *("xpackages.example.org", "a.packages.example.org", "packages.example.orgs", "cdn.example.net.", "localhost"),
        *("2130706433", "0x7f000001", "0177.0.0.1", "127.1", "127.0.0.1", PUBLIC, "0", "xn--packages-9za.example.org"),
    ],
)
def test_what_only_looks_like_a_listed_name_is_refused(online, name):
    result = online.sh(RAW, env={"ASKED": f"CONNECT {name}:443 HTTP/1.1\\r\\n\\r\\n"})

    assert result.text.startswith("HTTP/1.1 403 "), result.text
    assert refusals(result) == [(f"{name}:443", "this host is not on the project's list")]


@pytest.mark.parametrize("name", ["PACKAGES.Example.ORG", "packages.example.org."])
def test_other_spellings_of_a_listed_name_are_that_name(online, name):
    assert ask(online, f"CONNECT {name}:443 HTTP/1.1\\r\\n\\r\\nGET / HTTP/1.0\\r\\n\\r\\n").startswith("HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "asked",
    [
        "CONNECT user@packages.example.org:443 HTTP/1.1\\r\\n\\r\\n",
        "CONNECT packages.example.org:443@evil.example.com:443 HTTP/1.1\\r\\n\\r\\n",
        "CONNECT evil.example.com#packages.example.org:443 HTTP/1.1\\r\\n\\r\\n",
        "CONNECT [::1]:443 HTTP/1.1\\r\\n\\r\\n",
        "CONNECT [::ffff:127.0.0.1]:443 HTTP/1.1\\r\\n\\r\\n",
        "CONNECT packages.example.org HTTP/1.1\\r\\n\\r\\n",
        "CONNECT packages.example.org:443\\nX: y HTTP/1.1\\r\\n\\r\\n",
        "CONNECT packages.example.org:443 HTTP/1.1\\nHost: x\\r\\n\\r\\n",
        "CONNECT packages.example.org:443\\tHTTP/1.1\\r\\n\\r\\n",
        "CONNECT p\\303\\244ckages.example.org:443 HTTP/1.1\\r\\n\\r\\n",
        "CONNECT packages.example.org\\0:443 HTTP/1.1\\r\\n\\r\\n",
        "CONNECT packages.example.org:٤٤٣ HTTP/1.1\\r\\n\\r\\n",
        "GET http://user@packages.example.org/ HTTP/1.1\\r\\n\\r\\n",
        "GET https://packages.example.org/ HTTP/1.1\\r\\n\\r\\n",
        "GET / HTTP/1.1\\r\\nHost: packages.example.org\\r\\n\\r\\n",
        "GET http://packages.example.org/a HTTP/1.1\\r\\nA: b\\nHost: evil.example.com\\r\\n\\r\\n",
        "GET http://packages.example.org/a HTTP/1.1\\r\\n Host: evil.example.com\\r\\n\\r\\n",
        "POST http://packages.example.org/ HTTP/1.1\\r\\nContent-Length: 0\\r\\n\\r\\n",
        "\\0\\0\\r\\n\\r\\n",
    ],
)
def test_what_is_not_exactly_a_request_is_refused(online, asked):
    result = online.sh(RAW, env={"ASKED": asked})

    assert result.text.startswith("HTTP/1.1 400 "), result.text
    assert "\n\n" not in result.text.replace("\r\n\r\n", "")
    assert len(refusals(result)) == 1


@pytest.mark.parametrize("port", [22, 25, 3128, 8080, 0, 65536, 99999])
def test_other_ports_are_refused(online, port):
    assert ask(online, f"CONNECT packages.example.org:{port} HTTP/1.1\\r\\n\\r\\n").startswith("HTTP/1.1 403 ")


@pytest.mark.parametrize("name", ["private", "metadata", "carrier", "loopback", "mapped"])
def test_a_listed_name_that_leads_to_an_inner_address_is_refused(online, name):
    result = online.sh(f"{CURL} http://{name}.example.org/")

    assert refusals(result) == [(f"{name}.example.org:80", "its name leads to no address that is public")]


def test_a_host_of_our_own_network_is_reached_where_the_operator_vouches_for_it(online, settings):
    settings.MCC_SANDBOX_PRIVATE_HOSTS = ["private.example.org", "*.other.example.org"]

    assert "Host: private.example.org" in online.sh(f"{CURL} http://private.example.org/").text
    refused = online.sh(f"{CURL} http://carrier.example.org/")
    assert refusals(refused) == [("carrier.example.org:80", "its name leads to no address that is public")]


@pytest.mark.parametrize("name", ["metadata", "loopback"])
def test_this_machine_and_the_metadata_of_a_cloud_are_nobodys_to_vouch_for(online, settings, name):
    settings.MCC_SANDBOX_PRIVATE_HOSTS = [f"{name}.example.org"]

    result = online.sh(f"{CURL} http://{name}.example.org/")

    assert refusals(result) == [(f"{name}.example.org:80", "its name leads to no address that may be reached")]


def test_those_inner_addresses_do_answer_whom_nobody_holds_back(no_network):
    for name in ("private", "metadata", "carrier"):
        with socket.create_connection((ADDRESSES[f"{name}.example.org"], 80), timeout=5) as inner:
            inner.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert inner.recv(100).startswith(b"HTTP/1.1 200 OK")


def test_a_listed_name_that_leads_to_this_machines_public_address_is_refused(online):
    with socket.create_server((OURS, 443)) as ours:
        result = online.sh(f"{CURL} -p http://myself.example.org:443/")
        ours.settimeout(0.5)
        with ours.accept()[0] as visitor:
            said = visitor.recv(10)

    assert refusals(result) == [("myself.example.org:443", "its name leads to this machine")]
    assert said == b""


def test_a_name_that_nobody_knows_is_told(online):
    result = online.sh(f"{CURL} http://nowhere.example.org/")

    assert "its name cannot be resolved" in result.text


def test_a_second_request_on_a_plain_connection_reaches_nobody(online):
    one = "GET http://packages.example.org/keep HTTP/1.1\\r\\n\\r\\n"
    two = "GET http://evil.example.com/second HTTP/1.1\\r\\nHost: evil.example.com\\r\\n\\r\\n"

    answer = online.sh(RAW, env={"ASKED": one + two, "WAIT": "3"}).text

    assert answer.count("HTTP/1.1 200 OK") == 1
    assert "evil" not in answer


def test_a_head_without_end_is_cut(online):
    answer = ask(online, "CONNECT packages.example.org:443 HTTP/1.1\\r\\nX: " + "x" * 40_000)

    assert answer == "" or "longer than 16384 bytes" in answer


def test_who_dawdles_is_cut_and_others_are_served_meanwhile(online, monkeypatch):
    monkeypatch.setattr(proxy, "HEAD_S", 1.0)
    dawdle = "for i in $(seq 30); do { exec 4<>/dev/tcp/127.0.0.1/3128; printf 'CONNECT pack' >&4; cat <&4; } & done; "

    started = time.monotonic()
    result = online.sh(f"{dawdle} {CURL} http://packages.example.org/; wait")

    assert "GET / HTTP/1.1" in result.text
    assert result.text.count("HTTP/1.1 408 ") == 30
    assert time.monotonic() - started < 8


def test_a_download_lasts_as_long_as_it_takes_and_silence_does_not(online, monkeypatch):
    monkeypatch.setattr(proxy, "IDLE_S", 2.5)

    long = online.sh(f"{CURL} -p http://packages.example.org:443/drip")
    silent = online.sh(f"{CURL} -p http://packages.example.org:443/slow")

    assert long.text == 30 * "x"
    assert not silent.ok
    assert refusals(silent) == [("packages.example.org:443", "nothing was said for 2.5 s")]


def test_more_connections_than_allowed_are_refused(make_sandbox, no_network):
    with make_sandbox(egress=Egress(HOSTS, connections=3)) as sandbox:
        result = sandbox.sh(
            "for i in 1 2 3; do { exec 4<>/dev/tcp/127.0.0.1/3128; echo >> open; sleep 60; } & done; "
            "touch open; until [ $(wc -l < open) = 3 ]; do sleep 0.05; done; sleep 1; "
            f"{CURL} -v http://packages.example.org/ 2>&1; kill $(jobs -p)"
        )

    assert "too many are open" in result.text


def test_more_bytes_than_allowed_are_not_carried(make_sandbox, no_network):
    with make_sandbox(egress=Egress(HOSTS, most_received=1 << 20)) as sandbox:
        result = sandbox.sh(f"{CURL} http://packages.example.org/big | wc -c")

    assert int(result.text.split()[-1]) <= 1 << 20
    assert ("packages.example.org:80", "more than 1048576 bytes were received") in refusals(result)


def test_connections_end_with_their_command(online):
    result = online.sh("(curl -s http://packages.example.org/slow >/dev/null &) ; sleep 0.5; echo gone")

    assert result.text == "gone\n"
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("egress-test")]
    assert not (places.egress_path(online.spec.workspace_id) / way_out.SOCKET).exists()


def test_a_million_names_fill_no_memory(online):
    one = "exec 4<>/dev/tcp/127.0.0.1/3128; printf 'CONNECT h%s.example.com:443 HTTP/1.1\\r\\n\\r\\n' $i >&4; cat <&4"
    ask_many = f"for i in $(seq 150); do ({one}) > answer; done"

    result = online.sh(ask_many)

    assert len(result.contacts) <= 101
    assert sum(contact.times for contact in result.contacts) == 150


def test_the_forwarders_directory_cannot_be_written(online):
    result = online.sh("cd /run/mcc-egress; (echo evil > enter.sh) 2>&1; rm -f socket 2>&1; mv socket mine 2>&1")

    assert result.text.count("Read-only file system") == 3


def test_a_dead_forwarder_is_back_at_the_next_command(online):
    online.sh("pkill -f forward.pl; true")

    assert online.sh(f"{CURL} http://packages.example.org/").ok


def test_file_tools_have_no_network(online):
    online.write_file("a.txt", b"a")

    looked = online.run(["sh", "-c", "ls /run/mcc-egress/socket; env | grep -ci proxy"], offline=True).text

    assert looked.endswith("No such file or directory\n0\n")


def test_a_sandbox_without_a_list_has_no_network(make_sandbox, no_network):
    with make_sandbox() as sandbox:
        result = sandbox.sh(f"env | grep -ci proxy; ls -A /run 2>/dev/null; {CURL} http://{PUBLIC}/")

    assert result.outcome is Ending.EXITED
    assert result.text.startswith("0\n")
    assert "Couldn't connect" in result.text
