"""Who we are at a server, and how we know that it is the right one: credentials and TLS, by setting."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from pydantic import SecretStr

from stream.errors import ConfigurationError
from stream.settings import Access

_SECOND_THOUGHTS = 0.3
AccessT = TypeVar("AccessT", bound=Access)


def settled(access: AccessT, section: str, base: Path) -> AccessT:
    """``access`` with paths counted from ``base`` and the password read from its file.

    Raises ConfigurationError where a file cannot be read, or certificates do not fit together.
    """
    found: dict[str, object] = {}
    for name in ("ca", "certificate", "key"):
        path: Path | None = getattr(access, name)
        if path is not None:
            found[name] = base / path
    if access.password_file is not None:
        found |= {"password": SecretStr(_read(base / access.password_file, section)), "password_file": None}
    if found:
        access = access.model_copy(update=found)
        tls_context(access, section)
    return access


def tls_context(access: Access, section: str) -> ssl.SSLContext:
    """How to speak TLS as a client: the server's certificate and name are checked, always.

    Raises ConfigurationError where a file is missing or is no certificate or key, or the two do not fit.
    """
    try:
        context = ssl.create_default_context(cafile=access.ca)
    except OSError as error:
        raise ConfigurationError(
            f"{section}.ca names {access.ca}, which cannot be used: {_reason(error)}. Name a PEM file of certificates."
        ) from error
    if access.certificate is not None and access.key is not None:
        try:
            context.load_cert_chain(access.certificate, access.key, password=_no_password)
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"{section}.certificate {access.certificate} with {section}.key {access.key} cannot be used: {_reason(error)}. Name PEM files that belong together."
            ) from error
    return context


@contextmanager
def secured(address: tuple[str, int], access: Access, section: str, seconds: float) -> Iterator[ssl.SSLSocket]:
    """A line over TLS to a server; ``seconds`` bound each step.

    Raises ssl.SSLError where the two do not trust each other, and OSError where nobody answers.
    """
    context = tls_context(access, section)
    with (
        socket.create_connection(address, timeout=seconds) as line,
        context.wrap_socket(line, server_hostname=address[0]) as made,
    ):
        if access.certificate is None:
            # With TLS 1.3 a client without a certificate is turned away only after the handshake.
            made.settimeout(_SECOND_THOUGHTS)
            with suppress(TimeoutError):
                made.recv(1)
            made.settimeout(seconds)
        yield made


def refusal(error: ssl.SSLError, section: str) -> str:
    """What a failed handshake means, and which setting to look at."""
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message.rstrip(".")
        return f"its certificate is not accepted ({why}). Name who signed it in {section}.ca, and take a host name that it carries"
    reason = _reason(error)
    if (error.reason or "").endswith(("CERTIFICATE_REQUIRED", "BAD_CERTIFICATE", "UNKNOWN_CA", "HANDSHAKE_FAILURE")):
        return f"it asks for a certificate of ours that it accepts. Set {section}.certificate and {section}.key"
    return f"it speaks no TLS that we do ({reason}). Check the port"


def _no_password() -> str:
    """Asked for a key's password, Python would read one from the terminal."""
    raise ValueError("the key is locked by a password")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or getattr(error, "reason", None) or str(error)


def _read(path: Path, section: str) -> str:
    try:
        secret = path.read_text(encoding="utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{section}.password_file names {path}, which cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}. Check the path and who may read it."
        ) from error
    if not secret or "\n" in secret:
        raise ConfigurationError(
            f"{section}.password_file names {path}, which holds no single line. Write the password into it, and nothing else."
        )
    return secret
