"""Which URLs may be called, as far as their text tells; the address is checked again when connecting."""

import re
import unicodedata
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from shared.outbound.addresses import Address, AddressPolicy
from shared.vocabulary.faults import Invalid, invalid_field

MAX_URL_LENGTH = 2048
MAX_HOST_LENGTH = 253
SCHEMES = ("http", "https")
FORBIDDEN_MESSAGE = "This destination may not be called from here."

# Parsers disagree about these, and the disagreement is how a check and a connection come to differ.
AMBIGUOUS = re.compile("[\x00-\x20\x7f-\xa0\\\\\u2028\u2029\ud800-\udfff]")
HOST_NAME = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")

# Names with a fixed meaning, and the addresses that must be open for them.
KNOWN_NAMES: dict[str, tuple[Address, ...]] = {
    "localhost": (IPv4Address("127.0.0.1"), IPv6Address("::1")),
    "metadata.google.internal": (IPv4Address("169.254.169.254"),),
}


class Origin(NamedTuple):
    """RFC 6454 section 4: to whom a URL leads, and whom its headers are meant for."""

    scheme: str
    host: str
    port: int


@lru_cache(maxsize=1024)
def origin_of(url: str) -> Origin:
    """For a URL that `check_url` accepted."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return Origin(parts.scheme, parts.hostname or "", port)


def check_url(url: str, policy: AddressPolicy, field: str) -> None:
    """Raises `Invalid` with code `invalid_url` or, for a destination that the policy refuses,
    `destination_forbidden`."""
    parts = _split(url, field)
    if parts.scheme not in SCHEMES:
        raise _wrong_scheme(field)
    if "@" in parts.netloc:
        raise _malformed(field, "Credentials do not belong into a URL: use a header.")
    _check_host(_host(parts, field), policy, field)


def check_url_beginning(text: str, policy: AddressPolicy, field: str) -> None:
    """For a URL of which only the first characters are known: refuses what no continuation can mend."""
    scheme, mark, rest = text.partition("://")
    if not mark:
        return
    if any(end in rest for end in "/?#"):
        check_url(text, policy, field)
    elif scheme.lower() not in SCHEMES:
        raise _wrong_scheme(field)


def _split(url: str, field: str) -> SplitResult:
    if len(url) > MAX_URL_LENGTH:
        raise _malformed(field, f"The URL is longer than {MAX_URL_LENGTH} characters.")
    if AMBIGUOUS.search(url):
        raise _malformed(field, "Spaces, control characters and backslashes must be percent-encoded.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _malformed(field, "This is not a URL.") from None
    if port == 0:
        raise _malformed(field, "Port 0 cannot be called.")
    return parts


def _host(parts: SplitResult, field: str) -> str:
    """The host as a resolver would read it: circled digits are digits, an ideographic stop is a dot."""
    host = unicodedata.normalize("NFKC", parts.hostname or "").casefold()
    if not host.isascii():
        host = _ascii(host, field)
    if not host.removesuffix("."):
        raise _malformed(field, "The URL names no host.")
    return host.removesuffix(".")


# The same receivers are called over and over; what raises is not kept.
@lru_cache(maxsize=4096)
def _check_host(host: str, policy: AddressPolicy, field: str) -> None:
    if ":" in host:
        _check_address(_ipv6(host, field), policy, field)
        if "%" in host:
            raise _malformed(field, "An address with a zone cannot be called.")
    elif NUMERIC_LABEL.fullmatch(host.rpartition(".")[2]):
        address = _ipv4(host, field)
        _check_address(address, policy, field)
        if host != str(address):
            raise _malformed(field, f"Write the address as {address}.")
    else:
        _check_name(host, policy, field)


def _check_address(address: Address, policy: AddressPolicy, field: str) -> None:
    if not policy.permits(address):
        raise _forbidden(field)


def _check_name(name: str, policy: AddressPolicy, field: str) -> None:
    if len(name) > MAX_HOST_LENGTH or HOST_NAME.fullmatch(name) is None:
        raise _malformed(field, "The URL's host is not a valid name.")
    known = "localhost" if name.endswith(".localhost") else name
    addresses = KNOWN_NAMES.get(known, ())
    if addresses and not any(policy.permits(address) for address in addresses):
        raise _forbidden(field)


def _ascii(host: str, field: str) -> str:
    if len(host) > MAX_HOST_LENGTH:  # the codec takes quadratic time
        raise _malformed(field, "The URL's host is too long.")
    try:
        return host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise _malformed(field, "The URL's host is not a valid name.") from None


def _ipv6(host: str, field: str) -> IPv6Address:
    try:
        return IPv6Address(host.partition("%")[0])
    except ValueError:
        raise _malformed(field, "The URL's host is not a valid IPv6 address.") from None


def _ipv4(host: str, field: str) -> IPv4Address:
    """Reads what inet_aton(3) does: octal, hexadecimal, one to four parts of which the last fills up."""
    try:
        *leading, last = [_number(part) for part in host.split(".")]
        return IPv4Address(bytes(leading) + last.to_bytes(4 - len(leading), "big"))
    except (ValueError, OverflowError):
        raise _malformed(field, "The URL's host is not a valid IPv4 address.") from None


def _number(part: str) -> int:
    if part.startswith("0x"):
        return int(part[2:] or "0", 16)
    return int(part, 8 if part.startswith("0") and len(part) > 1 else 10)


def _wrong_scheme(field: str) -> Invalid:
    return _malformed(field, "The URL must begin with http:// or https://.")


def _malformed(field: str, message: str) -> Invalid:
    return invalid_field(field, message, "invalid_url")


def _forbidden(field: str) -> Invalid:
    return invalid_field(field, FORBIDDEN_MESSAGE, "destination_forbidden")
