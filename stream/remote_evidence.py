"""The evidence store of another host, over its console's address: for stages on hosts that do not share the folder.

Evidence is put and read so, and never deleted: retention, backup and restore work on the folder, on the host with it.
"""

import base64
import hashlib
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

import httpx2
from pydantic import SecretStr

from stream.access import tls_context
from stream.errors import ConfigurationError, EvidenceError
from stream.evidence import EvidenceStore, Stored, address
from stream.live import LivePicture, LivePictures
from stream.settings import Access, EvidenceSettings
from stream.site import safe_url

STORE_PATH = "/evidence-store/"
"""Under this the console of the host with the folder takes and gives evidence."""
MOST_BYTES = 128 * 1024**2
"""Bytes of one piece; a clip of a minute has a tenth of it."""
TAKEN_AT = "X-Minewatch-Captured-At"
"""The header with a live picture's capture time."""
READY = b"evidence\n"
"""What the store answers to whoever asks whether it is one."""
_WEB = frozenset({"http", "https"})
_FILES = ("ca", "certificate", "key")
_TIMEOUT = httpx2.Timeout(15.0, connect=5.0)
_LOOK_SECONDS = 1.0
_PAUSES = (0.2, 1.0)
"""Seconds before a question is asked once more; storing the same again changes nothing."""
_OVERLOADED = 429


class RemoteEvidence(EvidenceStore):
    """Evidence behind ``https://host[:port][/path]``; ``access`` says who we are there and whom we trust.

    Raises ConfigurationError for an address that is none, and for a password that would go out in the clear.
    """

    def __init__(self, url: str, access: Access) -> None:
        parts = urlsplit(url)
        self.name = safe_url(url)
        if not access.user:
            raise ConfigurationError(
                f"evidence.url is {self.name}, which asks who we are: set evidence.user and evidence.password_file."
            )
        local = parts.hostname in {"127.0.0.1", "::1", "localhost"}
        if parts.scheme != "https" and not local:
            raise ConfigurationError(
                f"evidence.url is {self.name}, which would send the password in the clear: write https:// and give that console TLS."
            )
        self._url = url.rstrip("/") + STORE_PATH
        self._trust = tls_context(access, "evidence") if parts.scheme == "https" else True
        words = f"{access.user}:{access.password.get_secret_value()}".encode()
        self._headers = {"Authorization": "Basic " + base64.b64encode(words).decode("ascii")}

    @property
    def root(self) -> Path:
        """There is no folder here. Raises ConfigurationError, always."""
        raise ConfigurationError(
            f"The evidence lies on another host, behind {self.name}, and this needs its folder: do it on that host."
        )

    def put(self, mine: str, data: bytes, media_type: str) -> str:
        """As in a folder; raises EvidenceError also where the other host does not take it."""
        digest = hashlib.sha256(data).hexdigest()
        status, said = self._ask("PUT", address(mine, digest, media_type), data)
        if status != httpx2.codes.CREATED or said.strip() != digest.encode():
            raise self._unlike(status)
        return digest

    def get(self, mine: str, digest: str, media_type: str) -> bytes:
        """As from a folder: checked against its digest here, whatever the other host says."""
        status, data = self._ask("GET", address(mine, digest, media_type))
        if status == httpx2.codes.NOT_FOUND:
            raise EvidenceError(f"Evidence {digest[:12]} of {mine} is not there at {self.name}.")
        if status != httpx2.codes.OK:
            raise self._unlike(status)
        if hashlib.sha256(data).hexdigest() != digest:
            raise EvidenceError(
                f"Evidence {digest[:12]} of {mine} at {self.name} was altered: its bytes no longer have its digest."
            )
        return data

    def stored(self, mine: str) -> Iterator[Stored]:  # noqa: ARG002
        """Nothing: what is never deleted from here is not listed either."""
        return iter(())

    def check(self) -> str:
        """What the store says of itself. Raises EvidenceError where it does not answer or does not know us."""
        status, said = self._ask("GET", "")
        if status != httpx2.codes.OK or said != READY:
            raise self._unlike(status)
        return f"{self.name} takes evidence"

    def live(self, mine: str) -> LivePictures:
        """Live pictures go there as well, by a thread of their own."""
        return RemoteLive(self, mine)

    def looked(self, mine: str) -> bool:
        """Whether somebody looks at live pictures there. Raises EvidenceError and httpx2.HTTPError."""
        return self._once("GET", f"{mine}/live/")[0] == httpx2.codes.OK

    def put_live(self, mine: str, camera: str, picture: LivePicture) -> None:
        """Send a live picture once. Raises EvidenceError and httpx2.HTTPError."""
        self._once("PUT", f"{mine}/live/{camera}", picture.jpeg, {TAKEN_AT: picture.captured_at.isoformat()})

    def _ask(self, method: str, path: str, content: bytes | None = None) -> tuple[int, bytes]:
        for pause in (*_PAUSES, None):
            try:
                status, said = self._once(method, path, content)
            except (httpx2.HTTPError, httpx2.InvalidURL) as error:
                reason, cause = f"does not answer ({type(error).__name__})", ConnectionError(type(error).__name__)
            else:
                if status < httpx2.codes.INTERNAL_SERVER_ERROR and status != _OVERLOADED:
                    return status, said
                reason, cause = f"cannot take or give evidence (status {status})", ConnectionError(str(status))
            if pause is None:
                raise EvidenceError(
                    f"The evidence store {self.name} {reason}: see that the console on that host runs, and its disk and log; what is in hand is tried again."
                ) from cause
            time.sleep(pause)
        raise AssertionError("the last turn returns or raises")

    def _once(
        self, method: str, path: str, content: bytes | None = None, more: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """No redirect is followed and no proxy of the environment used: the password goes where it was meant to go."""
        with (
            httpx2.Client(timeout=_TIMEOUT, follow_redirects=False, trust_env=False, verify=self._trust) as client,
            client.stream(
                method, self._url + path, content=content, headers=self._headers | dict(more or {})
            ) as answer,
        ):
            whole = bytearray()
            for part in answer.iter_bytes():
                whole += part
                if len(whole) > MOST_BYTES:
                    raise EvidenceError(f"{self.name} sends more than a piece of evidence has: check evidence.url.")
            return answer.status_code, bytes(whole)

    def _unlike(self, status: int) -> EvidenceError:
        """What an answer means that is none of the store's; all but one may be mended while we go on asking."""
        if status == httpx2.codes.CONTENT_TOO_LARGE:
            return EvidenceError(f"{self.name} does not take a piece that large.")
        if status in {httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN}:
            said = "refuses who we are: set evidence.password here to console.evidence_password there"
        elif status == httpx2.codes.NOT_FOUND:
            said = "has no evidence store for this mine: set console.evidence_password there, and the same mine on both"
        else:
            said = f"answers as no evidence store does (status {status}): check evidence.url"
        error = EvidenceError(f"{self.name} {said}.")
        error.__cause__ = ConnectionError(str(status))
        return error


class RemoteLive(LivePictures):
    """The latest picture of each camera, sent while somebody looks; a console that is away holds nobody up."""

    def __init__(self, store: RemoteEvidence, mine: str) -> None:
        self._store = store
        self._mine = mine
        self._seen = False
        self._latest: dict[str, LivePicture] = {}
        threading.Thread(target=self._run, name="live-pictures", daemon=True).start()

    def look(self) -> None:
        """Nobody looks here."""

    def looked(self) -> bool:
        """Whether somebody looked there when last asked."""
        return self._seen

    def put(self, camera: str, picture: LivePicture) -> None:
        """Have the picture sent, unless a later one comes first."""
        self._latest[camera] = picture

    def get(self, camera: str) -> LivePicture | None:
        """The picture that waits to be sent."""
        return self._latest.get(camera)

    def _run(self) -> None:
        while True:
            try:
                self._seen = self._store.looked(self._mine)
                for camera in list(self._latest):
                    self._store.put_live(self._mine, camera, self._latest.pop(camera))
            except (httpx2.HTTPError, EvidenceError):
                self._seen = False
            time.sleep(_LOOK_SECONDS)


def evidence_url(settings: EvidenceSettings, otherwise: str) -> str:
    """The whole address, ``otherwise`` where none is set: who we are there and whom we trust is part of it.

    Texts show it with ``safe_url`` alone. Raises ConfigurationError where the two do not fit together.
    """
    parts = urlsplit(settings.url)
    if parts.scheme not in _WEB:
        if settings.user or settings.ca or settings.certificate:
            raise ConfigurationError(
                "evidence.user, password and certificates are for a store behind https://: set evidence.url to one, or remove them."
            )
        return settings.url or otherwise
    host = parts.netloc.rpartition("@")[2]
    who = f"{quote(settings.user, safe='')}:{quote(settings.password.get_secret_value(), safe='')}@"
    files = {name: str(path) for name in _FILES if (path := getattr(settings, name)) is not None}
    whole = urlunsplit((parts.scheme, (who if settings.user else "") + host, parts.path, urlencode(files), ""))
    open_remote(whole)
    return whole


def open_remote(whole: str) -> RemoteEvidence:
    """The store behind an address that ``evidence_url`` made. Raises ConfigurationError for one that is none."""
    try:
        parts = urlsplit(whole)
        files = {name: Path(value) for name, value in parse_qsl(parts.query) if name in _FILES}
        who = {"user": unquote(parts.username or ""), "password": SecretStr(unquote(parts.password or ""))}
        host = parts.netloc.rpartition("@")[2]
        if not parts.hostname or (parts.port == 0):
            raise ValueError("no host")
    except ValueError as error:
        raise ConfigurationError(
            f"evidence.url is {safe_url(whole)}, which is no address: write https://host:port of the console that keeps the evidence."
        ) from error
    access = Access.model_validate({**who, **files})
    return RemoteEvidence(urlunsplit((parts.scheme, host, parts.path, "", "")), access)
