"""Which names are listed, and which addresses are public: the two rules of the proxy by themselves."""

import pytest

from agents.sandbox.egress import check_host
from agents.sandbox.egress.addresses import is_of_a_network, is_public
from agents.sandbox.egress.names import is_listed, normal


@pytest.mark.parametrize("text", ["pypi.org", " Files.PythonHosted.org ", "*.example.org", "xn--bcher-kva.example"])
def test_a_name_is_kept_as_it_is_compared(text):
    assert check_host(text) == text.strip().lower()


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "*",
            "*.com",
            "com",
            "localhost",
            "https://pypi.org",
            "pypi.org:443",
            "pypi.org/simple",
            "a..b",
            ".pypi.org",
        ),
        *("pypi.org.", "user@pypi.org", "a.*.org", "*pypi.org", "127.0.0.1", "127.1", "[::1]", "10.0.0.0/8", "1.0x7f"),
        *("a.b.0x", "bücher.example", "pypi.org\nevil.com", "-a.example.org", "a" * 64 + ".org", "a." * 127 + "org"),
    ],
)
def test_what_is_no_name_of_a_host_is_refused(text):
    with pytest.raises(ValueError, match="not the name of a host"):
        check_host(text)


def test_a_star_is_for_labels_below_only():
    hosts = ("pypi.org", "*.example.org")

    assert [is_listed(name, hosts) for name in ("pypi.org", "a.example.org", "a.b.example.org")] == [True] * 3
    assert not any(
        is_listed(normal(name), hosts)
        for name in (
            "example.org",
            "a.pypi.org",
            "pypi.orgs",
            "evilexample.org",
            ".example.org",
            "pypi.org..",
            "*.example.org",
        )
    )


@pytest.mark.parametrize("address", ["8.8.8.8", "203.0.112.2", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.255.255.254", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
        *("169.254.169.254", "100.64.0.1", "100.127.255.255", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1"),
        *("224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "2001:db8::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::a00:1"),
        *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808", "2002:7f00:1::", "2002:a00:1::1"),
        *("2001:0:808:808::1", "100::1", "not an address", "8.8.8.8 "),
    ],
)
def test_addresses_that_no_name_may_lead_to(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["10.1.2.3", "192.168.1.1", "100.64.0.1", "fd12::1", "8.8.8.8", "::ffff:10.0.0.1"])
def test_addresses_of_our_own_network(address):
    assert is_of_a_network(address)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.9.9.9", "0.0.0.0", "0.1.2.3", "169.254.169.254", "224.0.0.1", "255.255.255.255"),
        *(
            "::",
            "::1",
            "fe80::1",
            "fe80::1%eth0",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
        ),
        *("64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2001:0:808:808::1", "fd00:ec2::254", "not an address"),
    ],
)
def test_addresses_that_are_of_this_machine_or_its_link_whoever_vouches(address):
    assert not is_of_a_network(address)
