"""Errors of the console: what a request is refused with. Each names its sentence in console.translations."""

from console.translations import text
from stream.errors import MinewatchError


class RefusedError(MinewatchError):
    """A request that is answered by a page saying why nothing was done."""

    status = 400
    key = "error.refused"

    def __init__(self, **values: object) -> None:
        self.values = values
        super().__init__(text("en", self.key, **values))

    def sentence(self, language: str) -> str:
        """What to tell the person, in ``language``."""
        return text(language, self.key, **self.values)


class NotLoggedInError(RefusedError):
    """The page is for people who have logged in."""

    status = 401
    key = "error.not-logged-in"


class WrongTokenError(RefusedError):
    """A stage of another host showed a password, and not the one that is set."""

    status = 401
    key = "error.token"


class TokenRefusedError(RefusedError):
    """A machine's token that is unknown, revoked or over; or none, where only machines may come in."""

    status = 401
    key = "error.api-token"


class ReusedKeyError(RefusedError):
    """An idempotency key that stood for another request already."""

    status = 422
    key = "error.key-reused"


class PasswordDueError(RefusedError):
    """A one-time password opens nothing but the page that replaces it."""

    status = 403
    key = "error.password-due"


class ForbiddenError(RefusedError):
    """The role of this account does not open that page."""

    status = 403
    key = "error.forbidden"


class OutOfScopeError(RefusedError):
    """The page tells of the whole mine, and this account is limited to some of its cameras and sensors."""

    status = 403
    key = "error.scope"


class ForgedFormError(RefusedError):
    """A form that did not come from a page of this session."""

    status = 403
    key = "error.forged"


class MissingError(RefusedError):
    """What the address names is not there, or not at this mine."""

    status = 404
    key = "error.missing"


class WrongInputError(RefusedError):
    """A field of a form holds what cannot be used; ``field`` says which in the error's own sentence."""

    status = 422
    key = "error.input"

    def __init__(self, key: str, **values: object) -> None:
        self.key = key
        super().__init__(**values)


class NoFontError(RefusedError):
    """The server has no font with Chinese characters, so that it cannot write a PDF."""

    status = 503
    key = "error.no-font"


class EvidenceFullError(RefusedError):
    """Evidence that another host sends cannot be written: the disk is full, or the folder is gone."""

    status = 507
    key = "error.evidence-full"


class TooLargeError(RefusedError):
    """More bytes were sent than the console takes in."""

    status = 413
    key = "error.too-large"


class PhotoError(RefusedError):
    """A file that was sent in is no photo that can be kept."""

    status = 422
    key = "error.photo"


class LoginRefusedError(RefusedError):
    """Name and password do not fit together; which of them is wrong is not said."""

    status = 401
    key = "error.login"


class TooManyLoginsError(RefusedError):
    """Too many failed logins of this name or from this address."""

    status = 429
    key = "error.too-many-logins"


class StaleError(RefusedError):
    """What was decided on has changed since the page was loaded."""

    status = 409
    key = "error.stale"


class SiteChangedError(RefusedError):
    """Somebody else has saved what this page was about to change."""

    status = 409
    key = "error.site-changed"


class HandedOverError(RefusedError):
    """Who hands a shift over does not take it over, and nobody takes it over twice."""

    status = 409
    key = "error.handed-over"
