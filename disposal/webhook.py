"""One signed call to a webhook: what is sent says when, and the receiver can tell that it is ours."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import httpx2

from disposal.audit import canonical
from stream.messages import utc_now

SIGNATURE = "X-Minewatch-Signature"
"""The header with ``sha256=`` and the HMAC of the body under the shared secret, in hex."""


def sign(secret: str, body: bytes) -> str:
    """The signature of a body, as the receiver has to compute it too."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def call(url: str, secret: str, said: Mapping[str, Any], seconds: float) -> str:
    """Send it once, with ``sent_at`` in what is signed, so that an old call sent again shows; answers why it failed.

    No redirect is followed and no proxy of the environment is used: nothing goes where nobody has set it to go.
    """
    body = canonical({**said, "sent_at": utc_now().isoformat()}).encode()
    headers = {"Content-Type": "application/json"}
    if secret:
        headers[SIGNATURE] = sign(secret, body)
    try:
        with httpx2.Client(timeout=seconds, follow_redirects=False, trust_env=False) as client:
            status = client.post(url, content=body, headers=headers).status_code
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        return type(error).__name__
    return "" if 200 <= status < 300 else f"status {status}"
