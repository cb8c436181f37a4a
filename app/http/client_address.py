"""The client's address of a request, also behind proxies."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from litestar.types import Scope

from db.settings import SettingsError, variable

_HOPS_MAX = 16
_REMEMBERED_MAX = 4096
_V6_PREFIX_BITS = 64  # the smallest network a provider assigns to one customer
_NOBODY = "unknown"

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class ClientAddresses:
    """Identifies clients by address. X-Forwarded-For counts only if a trusted proxy wrote it."""

    def __init__(self, trusted: tuple[Network, ...]) -> None:
        self._trusted = trusted
        self._is_trusted = lru_cache(_REMEMBERED_MAX)(self._is_within)

    def counted_as(self, scope: Scope) -> str:
        """The key that counts the client's requests: its IPv4 address, or its /64 IPv6 network."""
        return counted_as(self.address(scope))

    def network(self, scope: Scope) -> str:
        """The client's network, /24 for IPv4 or /48 for IPv6: what a provider may assign to one customer."""
        return network_of(self.address(scope))

    def address(self, scope: Scope) -> str:
        """The address nearest to the client that the server or a trusted proxy has seen."""
        client = scope["client"]
        peer = client[0] if client else _NOBODY
        if not self._trusted or not self._is_trusted(peer):
            return peer
        for hop in _forwarded(scope["headers"]):
            if _parsed(hop) is None:
                return peer  # not an address: the proxy that sent it is all we know
            peer = hop
            if not self._is_trusted(hop):
                break
        return peer

    def _is_within(self, text: str) -> bool:
        address = _parsed(text)
        return address is not None and any(address in network for network in self._trusted)


def networks(text: str) -> tuple[Network, ...]:
    """Parse comma-separated addresses and networks. Raises SettingsError naming the variable."""
    found: list[Network] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        try:
            found.append(ip_network(part, strict=False))
        except ValueError:
            message = f"{variable('trusted_proxies')}: '{part}' is neither an address nor a network"
            raise SettingsError(message) from None
    return tuple(found)


@lru_cache(_REMEMBERED_MAX)
def counted_as(text: str) -> str:
    """The address as rate limits count it."""
    address = _parsed(text)
    if address is None:
        return _NOBODY
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address), _V6_PREFIX_BITS), strict=False))
    return str(address)


@lru_cache(_REMEMBERED_MAX)
def network_of(text: str) -> str:
    """The network of an address: /24 for IPv4, /48 for IPv6."""
    address = _parsed(text)
    if address is None:
        return _NOBODY
    bits = 48 if isinstance(address, IPv6Address) else 24
    return str(ip_network((int(address), bits), strict=False))


def _forwarded(headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
    """The hops in X-Forwarded-For, the nearest to the server first."""
    values = [value for name, value in headers if name == b"x-forwarded-for"]
    hops = b",".join(values).decode("latin-1").rsplit(",", _HOPS_MAX)[-_HOPS_MAX:]
    return [_without_port(hop.strip()) for hop in reversed(hops) if hop.strip()]


def _without_port(hop: str) -> str:
    """The hop's address; some proxies write 192.0.2.1:4711 or [2001:db8::1]:4711."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


def _parsed(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
