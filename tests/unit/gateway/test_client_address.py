import pytest

from services.gateway.http.client_address import client_address, network_of, parse_networks

TRUSTED = parse_networks("10.0.0.0/8, 2001:db8::/32")


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "address"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", [b"198.51.100.1"], "203.0.113.9"),
        ("10.1.1.1", [b"198.51.100.1"], "198.51.100.1"),
        ("10.1.1.1", [b"1.2.3.4, 198.51.100.1"], "198.51.100.1"),
        ("10.1.1.1", [b"1.2.3.4, 198.51.100.1, 10.2.2.2"], "198.51.100.1"),
        ("10.1.1.1", [b"1.2.3.4", b"198.51.100.1"], "198.51.100.1"),
        ("10.1.1.1", [b"10.3.3.3, 10.2.2.2"], "10.3.3.3"),
        ("10.1.1.1", [b"198.51.100.1, nonsense"], "10.1.1.1"),
        ("10.1.1.1", [b""], "10.1.1.1"),
        ("10.1.1.1", [b"198.51.100.1:4711"], "198.51.100.1"),
        ("10.1.1.1", [b"[2a00:1::5]:4711"], "2a00:1::5"),
        ("2001:db8::1", [b"2a00:1::5"], "2a00:1::5"),
        ("::ffff:10.1.1.1", [b"198.51.100.1"], "198.51.100.1"),
        (None, [b"198.51.100.1"], "unknown"),
        ("", [], "unknown"),
    ],
)
def test_what_a_client_writes_itself_is_not_believed(
    peer: str | None, forwarded_for: list[bytes], address: str
) -> None:
    assert client_address(peer, forwarded_for, TRUSTED) == address


def test_the_addresses_of_one_customer_are_one_client() -> None:
    assert network_of("2a00:1:2:3::5") == network_of("2a00:1:2:3:ffff::1") == "2a00:1:2:3::/64"
    assert network_of("2a00:1:2:3::5") != network_of("2a00:1:2:4::5")
    assert network_of("198.51.100.1") == "198.51.100.1"
    assert network_of("fe80::1%eth0") == "fe80::/64"


@pytest.mark.parametrize("text", ["10.0.0.1/8", "nonsense", "*"])
def test_what_is_no_network_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_networks(text)
