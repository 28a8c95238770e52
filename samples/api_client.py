"""A machine at the API: lists open alerts, acknowledges the oldest that nobody has, and reports a hazard.

Only Python's own library. Make a token under /tokens, then::

    MINEWATCH_TOKEN=mw_... python samples/api_client.py http://127.0.0.1:8350
"""

import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any


class ApiError(Exception):
    """The server refused; ``status`` is the HTTP status, ``answer`` what it said."""

    def __init__(self, status: int, answer: dict[str, Any]) -> None:
        self.status = status
        self.answer = answer
        super().__init__(f"{status}: {answer.get('sentence', answer)}")


class Client:
    """The API of one console."""

    def __init__(self, address: str, token: str) -> None:
        self._address = address.rstrip("/") + "/api/v1"
        self._token = token

    def alerts(self, **filters: str) -> Iterator[dict[str, Any]]:
        """Every alert that fits, newest first, page by page."""
        cursor = None
        while True:
            asked = filters | ({"cursor": cursor} if cursor else {})
            page = self._send("GET", f"/alerts?{urllib.parse.urlencode(asked)}")
            yield from page["alerts"]
            cursor = page["next"]
            if cursor is None:
                return

    def alert(self, identity: str) -> dict[str, Any]:
        """One alert with its document, evidence and history."""
        return self._send("GET", f"/alerts/{identity}")

    def decide(self, identity: str, decision: str, *, document_version: int = 0, reason: str = "") -> dict[str, Any]:
        """Take a decision. Raises ApiError with status 409 where somebody else was first; its answer shows who."""
        wanted = {"decision": decision, "document_version": document_version, "reason": reason}
        return self._send("POST", f"/alerts/{identity}/decisions", wanted)

    def report(self, kind: str, place: str, text: str) -> dict[str, Any]:
        """Report a hazard that somebody has seen."""
        return self._send("POST", "/hazards", {"type": kind, "place": place, "text": text})

    def _send(self, method: str, path: str, wanted: dict[str, Any] | None = None) -> dict[str, Any]:
        request = urllib.request.Request(self._address + path, method=method)  # noqa: S310  # the user's own address
        request.add_header("Authorization", f"Bearer {self._token}")
        data = None
        if wanted is not None:
            data = json.dumps(wanted).encode()
            request.add_header("Content-Type", "application/json")
            # One key for all tries of this request: a lost answer may be asked for again without harm.
            request.add_header("Idempotency-Key", str(uuid.uuid4()))
        for attempt in range(3):
            try:
                with urllib.request.urlopen(request, data, timeout=10) as answer:  # noqa: S310
                    return dict(json.load(answer))
            except urllib.error.HTTPError as error:
                raise ApiError(error.code, json.load(error)) from None
            except OSError:
                if attempt == 2:
                    raise
        raise AssertionError


def main() -> None:
    """Show what can be done."""
    client = Client(sys.argv[1], os.environ["MINEWATCH_TOKEN"])
    waiting = [alert for alert in client.alerts(closed="false") if alert["state"] in ("UNACK", "RTN_UNACK")]
    print(f"{len(waiting)} alerts wait for somebody")
    if waiting:
        oldest = waiting[-1]
        try:
            print("acknowledged:", client.decide(oldest["id"], "acknowledge")["alert_state"])
        except ApiError as error:
            if error.status != 409:
                raise
            print("somebody else was first:", error.answer["other"])
    if len(sys.argv) > 2:
        print("reported:", client.report("hand-raised", sys.argv[2], "water on the floor")["alert_id"])


if __name__ == "__main__":
    main()
