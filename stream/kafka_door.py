"""How a client of Kafka comes in: addresses, credentials and TLS, tried before any client is made."""

import socket
import ssl
from contextlib import AbstractContextManager
from typing import Any

from kafka.net.sasl import get_sasl_mechanism
from kafka.protocol.parser import KafkaProtocol
from kafka.protocol.sasl import SaslAuthenticateRequest, SaslHandshakeRequest

from stream.access import refusal, secured, tls_context
from stream.errors import ConfigurationError, LogError
from stream.settings import LogSettings


def client_options(settings: LogSettings, servers: list[str]) -> dict[str, Any]:
    """How every client of this broker connects. Raises ConfigurationError where certificates cannot be used."""
    options: dict[str, Any] = {"bootstrap_servers": servers}
    protocol = "SSL" if settings.tls else "PLAINTEXT"
    if settings.tls:
        options["ssl_context"] = tls_context(settings, "log")
    if settings.user:
        protocol = f"SASL_{protocol}"
        options["sasl_mechanism"] = settings.mechanism
        options["sasl_plain_username"] = settings.user
        options["sasl_plain_password"] = settings.password.get_secret_value()
    return options | {"security_protocol": protocol}


def knock(settings: LogSettings, servers: list[str], seconds: float) -> None:
    """Raise LogError where no broker takes a connection: the client would go on trying, and leave its sockets open.

    Raises ConfigurationError where the broker and we do not trust each other, or it refuses our credentials.
    """
    reasons: list[str] = []
    for server in servers:
        host, _, port = server.rpartition(":")
        address, patience = (host.strip("[]"), int(port)), seconds / len(servers)
        try:
            with _line(address, settings, patience) as line:
                if settings.user:
                    _sign_in(line, settings)
        except ssl.SSLError as error:
            raise ConfigurationError(
                f"The broker at {settings.url} is no use to us: {refusal(error, 'log')}."
            ) from error
        except OSError as error:
            reasons.append(error.strerror or str(error))
        else:
            return
    raise LogError(
        f"No broker at {settings.url} can be reached: {', '.join(reasons)}. Check the address and that it runs."
    )


def _line(address: tuple[str, int], settings: LogSettings, seconds: float) -> AbstractContextManager[socket.socket]:
    if settings.tls:
        return secured(address, settings, "log", seconds)
    return socket.create_connection(address, timeout=seconds)


def _sign_in(line: socket.socket, settings: LogSettings) -> None:
    """Sign in as the client will, to hear the answer.

    A broker that refuses says so and hangs up in one breath; kafka-python then drops what it said, and tries again.
    """
    protocol = KafkaProtocol(client_id="minewatch")
    shaken = _ask(line, protocol, SaslHandshakeRequest(mechanism=settings.mechanism))
    if shaken.error_code or settings.mechanism not in shaken.mechanisms:
        known = ", ".join(sorted(shaken.mechanisms)) or "none"
        raise _refused(settings, f"it knows {known}, and not {settings.mechanism}")
    mechanism = get_sasl_mechanism(settings.mechanism)(host="", **client_options(settings, []))
    while not mechanism.is_done():
        answer = _ask(line, protocol, SaslAuthenticateRequest(mechanism.auth_bytes()))
        if answer.error_code:
            raise _refused(settings, str(answer.error_message or "it gives no reason").rstrip("."))
        mechanism.receive(answer.auth_bytes)


def _ask(line: socket.socket, protocol: KafkaProtocol, request: Any) -> Any:
    request.API_VERSION = 1
    protocol.send_request(request)
    line.sendall(protocol.send_bytes())
    while True:
        data = line.recv(65_536)
        if not data:
            raise ConnectionResetError("it hangs up")
        for _, response in protocol.receive_bytes(data):
            return response


def _refused(settings: LogSettings, reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"The broker at {settings.url} refuses our credentials: {reason}. Check log.user, log.password and log.mechanism."
    )
