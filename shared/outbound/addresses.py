"""Which addresses this service may connect to."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

import msgspec

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

# Written out, because the flags of `ipaddress` (is_private, is_global) call NAT64, 6to4, CGNAT and multicast
# public, and change with the version of Python.
FORBIDDEN_NETWORKS: tuple[Network, ...] = tuple(
    ip_network(cidr)
    for cidr in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; pods and nodes of several clouds
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/96",  # unspecified, loopback, IPv4-compatible
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",  # protocol assignments; Teredo is 2001::/32
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
)

# Where clouds hand out credentials: a wide allow list must not open them by accident.
METADATA_ADDRESSES = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254",
        "169.254.170.2",  # AWS, credentials of a container
        "169.254.170.23",  # AWS, credentials of a pod
        "168.63.129.16",  # Azure
        "100.100.100.200",  # Alibaba
        "192.0.0.192",  # Oracle
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",  # Google
    )
)

MAPPED = IPv6Network("::ffff:0:0/96")
COMPATIBLE = IPv6Network("::/96")
NAT64 = IPv6Network("64:ff9b::/96")


class AddressPolicy(msgspec.Struct, frozen=True):
    """Everything public is permitted, and what `allow` opens."""

    allow: tuple[Network, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "AddressPolicy":
        """Reads comma-separated CIDRs; raises ValueError on one that is malformed or could never match."""
        return cls(tuple(_network(part.strip()) for part in text.split(",") if part.strip()))

    def permits(self, address: Address) -> bool:
        """True when every address that a packet sent there could reach is open."""
        return all(self._is_open(reached) for reached in addresses_reached(address))

    def _is_open(self, address: Address) -> bool:
        if address in METADATA_ADDRESSES:
            return ip_network(address) in self.allow
        if any(address in network for network in self.allow):
            return True
        return not any(address in network for network in FORBIDDEN_NETWORKS)


def addresses_reached(address: Address) -> tuple[Address, ...]:
    """The address without its zone, and the IPv4 addresses that a gateway or the kernel would find in it."""
    if isinstance(address, IPv4Address):
        return (address,)
    plain = IPv6Address(int(address))
    if plain.ipv4_mapped is not None:
        return (plain.ipv4_mapped,)  # the kernel itself speaks IPv4 to it
    return (plain, *_embedded(plain))


def _embedded(address: IPv6Address) -> tuple[IPv4Address, ...]:
    if address.teredo is not None:
        return address.teredo
    if address.sixtofour is not None:
        return (address.sixtofour,)
    last_bits = int(address) & 0xFFFFFFFF
    is_compatible = address in COMPATIBLE and last_bits > 1
    return (IPv4Address(last_bits),) if is_compatible or address in NAT64 else ()


def _network(text: str) -> Network:
    network = ip_network(text)
    if isinstance(network, IPv6Network) and network.subnet_of(MAPPED):
        raise ValueError(f"{text} is IPv4 in IPv6 clothes: write the IPv4 network")
    return network
