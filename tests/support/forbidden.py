"""Ways to write a forbidden host that some parser or resolver understands."""

from ipaddress import IPv4Address

IPV4 = (
    "127.0.0.1",
    "0.0.0.0",  # noqa: S104 - a destination, not a binding
    "10.0.0.1",
    "100.64.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
)

IPV6 = (
    "::",
    "::1",
    "0:0:0:0:0:0:0:1",
    "0000:0000:0000:0000:0000:0000:0000:0001",
    "::2",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002::1",
    "2002:0808:0808::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "FD00:EC2::254",
    "fe80::1",
    "fe80::1%25eth0",
    "fe80::1%251",
    "::1%25lo",
    "febf::1",
    "fec0::1",
    "ff02::1",
)

NAMES = (
    "localhost",
    "LOCALHOST",
    "LocalHost.",
    "\uff4cocalhost",
    "loc\u00adalhost",
    "any.localhost",
    "metadata.google.internal",
    "Metadata.Google.Internal.",
)


def spellings_of(dotted: str) -> list[str]:
    """The hosts in a URL that mean this IPv4 address to inet_aton, IDNA, the kernel or a gateway."""
    number = int(IPv4Address(dotted))
    octets = number.to_bytes(4, "big")
    high, low = number >> 16, number & 0xFFFF
    first, rest = octets[0], number & 0xFFFFFF
    return [
        dotted,
        f"{dotted}.",
        str(number),
        f"{number}.",
        hex(number),
        f"0X{number:X}",
        f"0x{number:016x}",
        f"0{number:o}",
        f"000{number:o}",
        ".".join(f"0{octet:o}" for octet in octets),
        ".".join(f"{octet:04o}" for octet in octets),
        ".".join(hex(octet) for octet in octets),
        f"{hex(first)}.{octets[1]}.0{octets[2]:o}.{octets[3]}",
        f"{first}.{rest}",
        f"{hex(first)}.0{rest:o}",
        f"{first}.{octets[1]}.{low}",
        dotted.translate(CIRCLED),
        dotted.translate(FULL_WIDTH),
        dotted.translate(BOLD),
        dotted.translate(SEGMENTED),
        dotted.replace(".", "\u3002"),
        dotted.replace(".", "\uff0e"),
        dotted.replace(".", "\uff61"),
        f"{dotted}\u00ad",
        f"[::ffff:{dotted}]",
        f"[::FFFF:{high:x}:{low:x}]",
        f"[0:0:0:0:0:ffff:{high:x}:{low:x}]",
        f"[::{dotted}]",
        f"[64:ff9b::{dotted}]",
        f"[2002:{high:x}:{low:x}::]",
        f"[2001:0:808:808::{high ^ 0xFFFF:x}:{low ^ 0xFFFF:x}]",
    ]


CIRCLED = str.maketrans("0123456789", "\u24ea\u2460\u2461\u2462\u2463\u2464\u2465\u2466\u2467\u2468")
FULL_WIDTH, BOLD, SEGMENTED = (
    str.maketrans("0123456789", "".join(chr(zero + digit) for digit in range(10)))
    for zero in (0xFF10, 0x1D7CE, 0x1FBF0)
)

FORBIDDEN_HOSTS = tuple(
    dict.fromkeys(
        [
            *(spelling for dotted in IPV4 for spelling in spellings_of(dotted)),
            *(f"[{address}]" for address in IPV6),
            *NAMES,
        ]
    )
)
