"""Addresses of cameras as a person types them: taken apart, checked not to lead where no camera is, and put together.

The console runs inside the mine's network, and whoever adds a camera makes it connect to what they type. So only
network cameras can be added there, never a file or a device, nor, unless that is set, this machine itself.
"""

import contextlib
import ipaddress
import re
import socket
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from console.errors import WrongInputError

SCHEMES = ("rtsp", "rtsps", "http", "https")
_PLAIN = re.compile(r"[!-~]{1,500}", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9.:_-]{1,253}", re.ASCII)
_METADATA = frozenset(
    ipaddress.ip_address(a) for a in ("169.254.169.254", "100.100.100.200", "fd00:ec2::254", "192.0.0.192")
)
"""Where providers of machines tell secrets to whoever asks; two of them are no link-local addresses."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Access(NamedTuple):
    """User name and password of a camera; empty where it asks for none."""

    user: str = ""
    password: str = ""


def checked_url(typed: str, access: Access, *, local: bool) -> str:
    """The URL to open, with the user name and password in it, from here or from ``typed``.

    ``local``: this machine's own addresses are allowed. Raises WrongInputError, whose sentence holds no password.
    """
    if not _PLAIN.fullmatch(typed) or "\\" in typed:
        raise WrongInputError("error.camera-address")
    try:
        parts = urlsplit(typed)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise WrongInputError("error.camera-address") from error
    if parts.scheme not in SCHEMES:
        raise WrongInputError("error.camera-scheme")
    if not _HOST.fullmatch(host) or parts.fragment:
        raise WrongInputError("error.camera-address")
    refuse_host(host, local=local)
    user = access.user or unquote(parts.username or "")
    password = access.password or unquote(parts.password or "")
    login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user or password else ""
    place = f"[{host}]" if ":" in host else host
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{login}{place}{f':{port}' if port else ''}{parts.path}{query}"


def pinned(url: str, *, local: bool) -> str:
    """The URL with the address of its host in place of the name, so that what is opened is what was checked.

    A name can be made to stand for a camera when it is checked and for this machine a moment later. Raises
    WrongInputError like ``checked_url``.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    address = refuse_host(host, local=local)
    login, at, _ = parts.netloc.rpartition("@")
    place = f"[{address}]" if ":" in address else address
    return parts._replace(netloc=f"{login}{at}{place}{f':{parts.port}' if parts.port else ''}").geturl()


def refuse_host(host: str, *, local: bool) -> str:
    """The first address of the host, once all are checked.

    Raises WrongInputError for a host that cannot be found, or that stands at an address where no camera may be.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise WrongInputError("error.camera-unknown", host=host) from error
    for entry in found:
        with contextlib.suppress(ValueError):
            address = plain(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]))
            if address in _METADATA or address.is_link_local or address.is_multicast:
                raise WrongInputError("error.camera-host", host=host)
            if not local and is_ours(address):
                raise WrongInputError("error.camera-local", host=host)
    return str(found[0][4][0])


def plain(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, where it does."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address


def is_ours(address: Address) -> bool:
    """Whether the address is this machine: one can listen on one's own addresses only."""
    if address.is_loopback or address.is_unspecified:
        return True
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True
