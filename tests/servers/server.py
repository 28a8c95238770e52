"""What the real servers of the tests have in common, and what is raised where one is not there or does not come up."""

from stream.child import free_port
from stream.server import LocalServer

__all__ = ["Server", "ServerFailedError", "ServerUnavailableError", "free_port"]


class ServerUnavailableError(Exception):
    """A server that a test needs cannot be had on this machine; the text says what is missing."""


class ServerFailedError(Exception):
    """A server that is installed did not come up; that is a failure, never a reason to skip."""


class Server(LocalServer):
    """One server on a free loopback port; ``start`` again after ``stop`` or ``kill`` takes the same port and data."""

    failure = ServerFailedError
