"""Where a file may be fetched from, when somebody outside has named the place. Decides; dials nothing.

A gateway stands inside its owner's network: without this, a link in a chat would reach what only
that network may (server-side request forgery).
"""

import ipaddress
from collections.abc import Collection

_ASCII_PORTS = {"https": 443, "http": 80}
_GLOBAL_V6 = ipaddress.ip_network("2000::/3")  # all that IANA has given out for the Internet
_TUNNELS = tuple(
    map(ipaddress.ip_network, ("2002::/16", "2001::/32", "2001:db8::/32", "2001:10::/28", "3fff::/20"))
)  # 6to4 and Teredo carry an IPv4 address inside; the others are no places
_REFUSED_V4 = tuple(map(ipaddress.ip_network, ("192.88.99.0/24", "240.0.0.0/4")))


def may_dial(address: str) -> bool:
    """Whether an IP address, as a resolver or a URL gave it, is a place on the public Internet.

    IPv4 inside IPv6 (mapped, NAT64's 64:ff9b::/96, 6to4, Teredo) is none.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if ip.is_multicast or ip.is_private or not ip.is_global:
        return False
    if isinstance(ip, ipaddress.IPv4Address):
        return not any(ip in network for network in _REFUSED_V4)
    return ip in _GLOBAL_V6 and ip.scope_id is None and not any(ip in network for network in _TUNNELS)


def is_allowed(scheme: str, host: str, port: int | None, allowed: Collection[str]) -> bool:
    """Whether a place is exempt: `allowed` holds hosts, reached on the usual ports, and host:port pairs.

    IPv6 addresses stand there without brackets, or in brackets before a port.
    """
    host = host.lower().removesuffix(".")
    usual = _ASCII_PORTS.get(scheme)
    at = port or usual
    shown = f"[{host}]:{at}" if ":" in host else f"{host}:{at}"
    return shown in allowed or (at in _ASCII_PORTS.values() and host in allowed)
