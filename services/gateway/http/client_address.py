"""PURE: from where a request comes, when proxies stand between."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

from shared.outbound.addresses import Address

Networks: TypeAlias = tuple[IPv4Network | IPv6Network, ...]

UNKNOWN = "unknown"
# One customer of a network provider has as many addresses of IPv6 as it likes, all below one prefix.
CLIENT_PREFIX = 64


def parse_networks(text: str) -> Networks:
    """Raises ValueError for what is no CIDR."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def client_address(peer: str | None, forwarded_for: Sequence[bytes], trusted: Networks) -> str:
    """The peer's own, or the right-most one in X-Forwarded-For that no trusted proxy has: what stands left of it was
    written by the client itself."""
    address = _read(peer or "")
    if address is None:
        return UNKNOWN
    hops = b",".join(forwarded_for).decode("latin-1").split(",")
    while hops and _is_in(address, trusted):
        earlier = _read(hops.pop())
        if earlier is None:
            break
        address = earlier
    return str(address)


def network_of(address: str) -> str:
    """What one client is taken to be."""
    if ":" not in address:
        return address
    return str(ip_network(f"{address.partition('%')[0]}/{CLIENT_PREFIX}", strict=False))


def _read(text: str) -> Address | None:
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _is_in(address: Address, networks: Networks) -> bool:
    return any(address in network for network in networks)
