"""Who may use the API: machines by token; people who are signed in may look, but decide on pages alone."""

from typing import Annotated

from fastapi import Depends, Header, Request
from fastapi.params import Depends as Declared
from starlette.concurrency import run_in_threadpool

from console.accounts import ROLES, Role
from console.auth import Gate, find_by_cookie, machine, within_scope
from console.errors import ForbiddenError, NotLoggedInError, PasswordDueError, TokenRefusedError
from console.sessions import Visitor

API = "/api/v1"
IdempotencyKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        min_length=8,
        max_length=200,
        pattern=r"^[!-~]+$",
        description="Chosen by you, another one for each request; sent again, it brings the same answer and changes nothing.",
    ),
]


class ApiGate(Gate):
    """Lets a request with a token of its roles through; without one, a person who is signed in, for looking only."""

    async def __call__(self, request: Request) -> Visitor | None:
        """The machine or person. Raises TokenRefusedError, NotLoggedInError, PasswordDueError and ForbiddenError."""
        given = request.headers.get("authorization")
        visitor = await run_in_threadpool(machine, request, given) if given else None
        by_token = visitor is not None
        if visitor is None:
            visitor = await run_in_threadpool(find_by_cookie, request)
        request.state.visitor = visitor
        if visitor is None:
            raise NotLoggedInError
        if visitor.must_change:
            raise PasswordDueError
        if self.roles is not None and visitor.role not in self.roles:
            raise ForbiddenError(role=visitor.role)
        if not by_token and request.method not in {"GET", "HEAD"}:
            # A cookie goes along with whatever another site makes a browser send; a token does not.
            raise TokenRefusedError
        await run_in_threadpool(within_scope, request, visitor)
        return visitor


def machines(*roles: Role) -> Declared:
    """A route of the API for these roles, all of them where none is named."""
    return Depends(ApiGate(frozenset(roles or ROLES)))  # type: ignore[no-any-return]
