"""Who a caller is, as far as an address tells."""

import ipaddress
import re
from collections.abc import Sequence
from typing import Any

_HOST = re.compile(r"(?:\[(?P<six>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+?))\.?(?::[0-9]*)?")
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def peer_of(client: Sequence[Any] | None) -> str:
    """The address whose callers share what a caller may have; of IPv6 the network, in which one
    caller has all addresses.

    Args:
      client: address and port, as ASGI and sockets give them.
    """
    if client is None:
        return ""
    address = _address(str(client[0]))
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((int(address), 64), strict=False))
    return str(address or client[0])


class Hosts:
    """The names by which a service without a token may be called: those of this machine's loopback,
    and what it listens at.

    A page of another site can be given a name that leads here; its scripts would then be of one
    origin with the service, read answers and delete conversations. But the browser then sends that
    name as `Host`, and no script can change it. A page from one of the service's addresses is a
    page of the service. Of a service that listens at all addresses, names without a dot are its
    names too, as machines and containers of one network have them: no other site can have one.
    """

    def __init__(self, host: str) -> None:
        """Args:
        host: name or address that the service listens at.
        """
        self._name, self._address = host.lower().rstrip("."), _address(host)
        self._everywhere = self._address is not None and self._address.is_unspecified

    def __contains__(self, header: object) -> bool:
        """Whether a `Host` header names this service; its port does not count."""
        match = _HOST.fullmatch(header.lower()) if isinstance(header, str) else None
        if match is None:
            return False
        name = match["six"] or match["name"]
        address = _address(name)
        if address is None:
            return (
                name in ("localhost", self._name)
                or name.endswith(".localhost")
                or (self._everywhere and "." not in name)
            )
        return address.is_loopback or address == self._address or self._everywhere


def is_loopback(host: str) -> bool:
    """Whether a name or address of this machine is reached from it alone."""
    address = _address(host)
    return host.lower().rstrip(".") == "localhost" if address is None else address.is_loopback


def _address(text: str) -> _Address | None:
    """The address that a text is; of one of IPv4 that is written as one of IPv6, the former."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
