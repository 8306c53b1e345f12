"""The table of addresses that no policy opens by itself, and how an allow list opens them."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.outbound.addresses import (
    FORBIDDEN_NETWORKS,
    METADATA_ADDRESSES,
    AddressPolicy,
    Network,
    addresses_reached,
)
from tests.support.forbidden import IPV4, IPV6

STRICT = AddressPolicy()
LOOPBACK = AddressPolicy.parse("127.0.0.0/8, ::1/128")


def wrappings(inner: IPv4Address) -> list[IPv6Address]:
    number = int(inner)
    return [
        IPv6Address(0xFFFF << 32 | number),
        IPv6Address(number),
        IPv6Address(0x64FF9B << 96 | number),
        IPv6Address(0x2002 << 112 | number << 80),
        IPv6Address(0x20010000 << 96 | 0x08080808 << 64 | (number ^ 0xFFFFFFFF)),
        IPv6Address(0x20010000 << 96 | number << 64 | (0x08080808 ^ 0xFFFFFFFF)),
    ]


@pytest.mark.parametrize("text", [*IPV4, *(address for address in IPV6 if "%" not in address)])
def test_a_special_address_is_refused(text: str) -> None:
    assert not STRICT.permits(ip_address(text))


@pytest.mark.parametrize("network", FORBIDDEN_NETWORKS, ids=str)
def test_both_ends_of_a_forbidden_network_are_refused(network: Network) -> None:
    assert not STRICT.permits(network[0])
    assert not STRICT.permits(network[-1])


@pytest.mark.parametrize(
    "text",
    [
        *(
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
        ),
        *("128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0"),
        *(
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "168.63.129.17",
        ),
        *("2606:4700::1111", "2001:4860:4860::8888", "2a00::1", "::ffff:8.8.8.8"),
    ],
)
def test_a_public_address_beside_the_forbidden_ones_is_permitted(text: str) -> None:
    assert STRICT.permits(ip_address(text))


@given(st.ip_addresses(v=4))
def test_an_address_wrapped_in_ipv6_is_never_more_permitted_than_bare(inner: IPv4Address) -> None:
    for wrapped in wrappings(inner):
        assert STRICT.permits(inner) or not STRICT.permits(wrapped)


@given(st.sampled_from(FORBIDDEN_NETWORKS).flatmap(lambda network: st.ip_addresses(network=network)))
def test_nothing_inside_the_table_is_permitted(address: IPv4Address | IPv6Address) -> None:
    assert not STRICT.permits(address)


def test_an_allowed_range_opens_and_its_neighbours_stay_closed() -> None:
    policy = AddressPolicy.parse("10.1.0.0/16")
    assert policy.permits(ip_address("10.1.2.3"))
    assert not policy.permits(ip_address("10.2.0.1"))
    assert not policy.permits(ip_address("127.0.0.1"))


@pytest.mark.parametrize("text", ["127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1", "::1%lo"])
def test_loopback_is_open_when_it_is_allowed(text: str) -> None:
    assert LOOPBACK.permits(ip_address(text))


@pytest.mark.parametrize("text", ["::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::", "::2"])
def test_allowing_loopback_opens_no_tunnel_to_it(text: str) -> None:
    assert not LOOPBACK.permits(ip_address(text))


@pytest.mark.parametrize(
    ("prefix", "public", "private"),
    [
        ("64:ff9b::/96", "64:ff9b::8.8.8.8", "64:ff9b::10.0.0.1"),
        ("2002::/16", "2002:808:808::1", "2002:a00:1::1"),
        ("2001::/32", "2001:0:808:808::f7f7:f7f7", "2001:0:808:808::f5ff:fffe"),
        ("::/96", "::8.8.8.8", "::10.0.0.1"),
    ],
)
def test_an_allowed_tunnel_still_refuses_what_lies_behind_it(prefix: str, public: str, private: str) -> None:
    policy = AddressPolicy.parse(prefix)
    assert policy.permits(ip_address(public))
    assert not policy.permits(ip_address(private))


@pytest.mark.parametrize("address", sorted(METADATA_ADDRESSES, key=str), ids=str)
def test_a_metadata_address_is_opened_only_by_its_own_name(address: IPv4Address | IPv6Address) -> None:
    wide = AddressPolicy.parse("0.0.0.0/0,::/0,169.254.0.0/16,168.63.129.0/24,fd00::/8,100.64.0.0/10")
    assert not wide.permits(address)
    assert AddressPolicy.parse(str(address)).permits(address)


def test_a_zone_does_not_disguise_a_metadata_address() -> None:
    assert not AddressPolicy.parse("fd00::/8").permits(ip_address("fd00:ec2::254%eth0"))


def test_a_wide_allow_list_does_not_open_metadata_behind_nat64() -> None:
    policy = AddressPolicy.parse("0.0.0.0/0,::/0")
    assert not policy.permits(ip_address("64:ff9b::a9fe:a9fe"))
    assert not policy.permits(ip_address("::ffff:169.254.169.254"))


@pytest.mark.parametrize("text", ["", " ", ",", " , "])
def test_an_empty_allow_list_allows_nothing(text: str) -> None:
    assert AddressPolicy.parse(text) == STRICT


@pytest.mark.parametrize(
    "text",
    [
        "loopback",
        "127.0.0.1/8",
        "10.0.0.0/33",
        "10.0.0.0/8;::1",
        "1/8",
        "::ffff:127.0.0.0/104",
        "10.0.0.0/8,x",
    ],
)
def test_a_malformed_or_useless_allow_list_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        AddressPolicy.parse(text)


def test_both_ends_of_a_teredo_tunnel_are_reached() -> None:
    address = IPv6Address("2001:0:808:808::f5ff:fffe")
    assert addresses_reached(address) == (address, IPv4Address("8.8.8.8"), IPv4Address("10.0.0.1"))
