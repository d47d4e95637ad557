"""Names and addresses of machines, as they stand in an address and in the Host header."""

import ipaddress
from urllib.parse import urlsplit

LOOPBACK = "localhost"


def host_of(text: str) -> str | None:
    """The host in lower case of a text such as `localhost:8765` or `[::1]:80`; None where it is none."""
    try:
        parts = urlsplit(f"//{text}")
        parts.port  # noqa: B018 (raises for what is no number)
    except ValueError:
        return None
    return None if "@" in text or parts.path or parts.query or parts.fragment else parts.hostname


def cookie_name(name: str, host: str) -> str:
    """Of a service by its port in a Host header: browsers send the cookies of a host to all of its ports."""
    port = urlsplit(f"//{host}").port
    return name if port is None else f"{name}_{port}"


def address_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """None where it is a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    address = address_of(host)
    return host.lower() == LOOPBACK if address is None else address.is_loopback
