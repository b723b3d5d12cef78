"""Which addresses a name may lead to: public ones, or those of our own network; whatever disguise others come in."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

NAT64 = IPv6Network("64:ff9b::/96")
SIX_TO_FOUR = IPv6Network("2002::/16")
GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All that IANA ever gave out. What is outside is local, or an old way to wrap IPv4."""

UNIQUE_LOCAL, METADATA = IPv6Network("fc00::/7"), IPv6Network("fd00:ec2::/32")
NO_NETWORKS = tuple(
    map(
        IPv4Network, ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "100.100.100.200/32", "224.0.0.0/3")
    )
)
"""This machine, its link, where clouds tell their secrets, and what is nobody's: many receivers, and the future."""


def is_public(text: str) -> bool:
    """Whether the address ``text`` is one of the public internet: not of this machine, a private network, a cloud's
    metadata service, a carrier's NAT (100.64/10), nor one of these wrapped into IPv6.
    """
    address = _read(text)
    if address is None:
        return False
    if isinstance(address, IPv6Address) and (address not in GLOBAL_UNICAST or address.teredo is not None):
        return False
    return address.is_global and not (
        address.is_multicast or address.is_reserved or address.is_private or address.is_unspecified
    )


def is_of_a_network(text: str) -> bool:
    """Whether the address ``text`` is public or of a private network: not of this machine, nor of the link, nor where
    a cloud's metadata service is. For names that the operator vouches for.
    """
    address = _read(text)
    if isinstance(address, IPv6Address):
        return is_public(text) or (address in UNIQUE_LOCAL and address not in METADATA)
    return address is not None and not any(address in network for network in NO_NETWORKS)


def _read(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address ``text``, out of its wrapping; None when it is none."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return _wrapped(address) or address
    return address


def _wrapped(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address to which a gateway or the kernel would turn ``address``."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    if address in SIX_TO_FOUR:
        return address.sixtofour
    return None
