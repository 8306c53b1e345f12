"""What the text of a URL already gives away."""

import socket
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.outbound.addresses import AddressPolicy
from shared.outbound.urls import FORBIDDEN_MESSAGE, Origin, check_url, check_url_beginning, origin_of
from shared.vocabulary.faults import Invalid
from tests.support.forbidden import FORBIDDEN_HOSTS, IPV4, spellings_of

STRICT = AddressPolicy()
LOOPBACK = AddressPolicy.parse("127.0.0.0/8,::1/128")


def refusal_of(url: str, policy: AddressPolicy = STRICT) -> Invalid:
    with pytest.raises(Invalid) as caught:
        check_url(url, policy, "with.url")
    return caught.value


def test_there_are_enough_spellings_to_mean_something() -> None:
    assert len(FORBIDDEN_HOSTS) >= 150


@pytest.mark.parametrize("host", FORBIDDEN_HOSTS)
def test_a_forbidden_host_is_refused_however_it_is_spelled(host: str) -> None:
    for url in (f"http://{host}/", f"https://{host}:8443/a?b=c#d", f"HTTP://{host}"):
        refusal = refusal_of(url)
        assert refusal.error_code == "destination_forbidden"
        assert refusal.detail == FORBIDDEN_MESSAGE
        assert refusal.validation_errors[0].field == "with.url"


@pytest.mark.parametrize("dotted", IPV4)
def test_the_spellings_are_those_that_the_system_understands(dotted: str) -> None:
    plain = [host for host in spellings_of(dotted) if host.isascii() and not host.startswith("[")]
    understood = [host for host in plain if not host.endswith(".")]
    for host in understood:
        found = socket.getaddrinfo(host, 80, socket.AF_INET, socket.SOCK_STREAM)
        assert found[0][4][0] == dotted


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com",
        "https://example.com:8443/a/b?c=d&e=%20#f",
        "HTTPS://EXAMPLE.COM/",
        "http://example.com./",
        "http://8.8.8.8:65535/",
        "http://[2606:4700::1111]/",
        "http://b\u00fccher.example/\u00fc?\u00fc",
        "http://xn--bcher-kva.example/",
        "http://my_service.namespace.svc/",
        "http://1password.example/",
        "http://0x7f.example/",
        "http://intranet/",
    ],
)
def test_a_public_url_is_accepted(url: str) -> None:
    check_url(url, STRICT, "url")


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "/",
            "example.com",
            "//example.com/",
            "http:",
            "http://",
            "http:///path",
            "http://:80/",
            "http://./",
        ),
        *(
            "ftp://example.com/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "unix:///var/run/x",
            "gopher://x/",
        ),
        *("http://user@example.com/", "http://user:word@example.com/", "http://@example.com/"),
        *(
            "http://example.com\\@127.0.0.1/",
            "http://exam ple.com/",
            "http://example.com/\r\nHost: x",
            "http://a\tb/",
        ),
        *(
            "http://example.com/\x00",
            "http://\x7fexample.com/",
            "http://example.com/\ud800",
            " http://example.com/",
        ),
        *(
            "http://example.com:0/",
            "http://example.com:65536/",
            "http://example.com:-1/",
            "http://example.com:x/",
        ),
        *(
            "http://[::1",
            "http://::1/",
            "http://[::g]/",
            "http://[127.0.0.1]/",
            "http://[v1.a:b]/",
            "http://[]/",
        ),
        *(
            "http://1.2.3.4.5/",
            "http://256.1.1.1/",
            "http://08.1.1.1/",
            "http://99999999999/",
            "http://1.2.3.400/",
        ),
        *(
            "http://a..example/",
            "http://-a.example/",
            "http://a-.example/",
            "http://a%2eexample/",
            "http://a,b/",
        ),
        *(
            f"http://{'a' * 64}.example/",
            f"http://{'a.' * 127}aa/",
            "http://" + "\u00fc" * 300,
            "http://xn--/",
        ),
        f"http://example.com/{'a' * 2048}",
    ],
)
def test_a_malformed_url_is_refused_as_such(url: str) -> None:
    assert refusal_of(url).error_code == "invalid_url"


@pytest.mark.parametrize("host", ["134744072", "0x08080808", "010.8.8.8", "8.8.2056", "8.526344"])
def test_a_public_address_in_an_odd_spelling_is_told_its_usual_form(host: str) -> None:
    refusal = refusal_of(f"http://{host}/")
    assert refusal.error_code == "invalid_url"
    assert "8.8.8.8" in refusal.detail


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost", "api.localhost"])
def test_loopback_is_accepted_when_the_policy_allows_it(host: str) -> None:
    check_url(f"http://{host}:8080/hook", LOOPBACK, "url")


def test_an_allowed_address_with_a_zone_is_still_malformed() -> None:
    assert refusal_of("http://[::1%25lo]/", LOOPBACK).error_code == "invalid_url"


@given(st.text(max_size=60))
def test_no_text_breaks_the_check(text: str) -> None:
    for url in (text, f"http://{text}", f"http://[{text}]:80/", f"https://example.com/{text}"):
        with suppress(Invalid):
            check_url(url, STRICT, "url")


@given(st.text(alphabet="0123456789abcdefxX.:%[]", min_size=1, max_size=40))
def test_an_accepted_literal_is_a_permitted_address_in_its_usual_form(host: str) -> None:
    url = f"http://{host}/"
    try:
        check_url(url, STRICT, "url")
    except Invalid:
        return
    name = urlsplit(url).hostname or ""
    try:
        address = ip_address(name)
    except ValueError:
        assert not name.rpartition(".")[2].isdigit()
    else:
        assert STRICT.permits(address)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://Example.com", Origin("http", "example.com", 80)),
        ("HTTPS://example.com/a?b", Origin("https", "example.com", 443)),
        ("http://example.com:443/", Origin("http", "example.com", 443)),
        ("https://[2606:4700::1111]:8443/", Origin("https", "2606:4700::1111", 8443)),
    ],
)
def test_an_origin_is_scheme_host_and_port(url: str, origin: Origin) -> None:
    assert origin_of(url) == origin


@pytest.mark.parametrize(
    "beginning", ["", "h", "http", "http://", "https://exam", "http://127.0.0.1", "http://127.0.0.1:"]
)
def test_a_beginning_that_can_still_become_anything_is_accepted(beginning: str) -> None:
    check_url_beginning(beginning, STRICT, "url")


@pytest.mark.parametrize("host", FORBIDDEN_HOSTS)
def test_a_beginning_that_names_a_forbidden_host_is_refused(host: str) -> None:
    for end in "/?#":
        with pytest.raises(Invalid) as caught:
            check_url_beginning(f"http://{host}{end}", STRICT, "url")
        assert caught.value.error_code == "destination_forbidden"
