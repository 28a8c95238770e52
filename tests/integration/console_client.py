"""A person at the console, as far as HTTP goes: logs in, reads form tokens off pages, sends forms."""

import re
from typing import Any

from fastapi.testclient import TestClient

from console.app import create_app
from console.web_settings import WebSettings
from tests.integration.console_mine import MINE, PASSWORD, Mine

SETTINGS = WebSettings(language="en", upload_bytes=600_000)
TOKEN = re.compile(r'name="form_token" value="([^"]+)"')


def person(mine: Mine, name: str, settings: WebSettings = SETTINGS) -> TestClient:
    """Somebody who has signed in at a console of the mine."""
    client = TestClient(create_app(mine.engine, MINE, mine.evidence, mine.log, settings))
    assert log_in(client, name).status_code == 303
    return client


def log_in(client: TestClient, name: str, password: str = PASSWORD, target: str = "/") -> Any:
    """Send the login form; answers where it leads."""
    fields = {"form_token": token_of(client, "/login"), "name": name, "password": password, "next": target}
    return client.post("/login", data=fields, follow_redirects=False)


def token_of(client: TestClient, page: str = "/password") -> str:
    """The form token on a page."""
    found = TOKEN.search(client.get(page).text)
    assert found is not None, f"{page} has no form"
    return found[1]


def send(client: TestClient, address: str, fields: dict[str, str] | None = None, **more: Any) -> Any:
    """Send a form with a good token, as a page of the console would."""
    return client.post(address, data={"form_token": token_of(client), **(fields or {})}, follow_redirects=False, **more)
