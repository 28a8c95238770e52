"""The browser that looks at the console in tests."""

import shutil
from pathlib import Path

from tests.servers.server import ServerUnavailableError

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = [
    "--no-sandbox",  # the tests may run as root
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""What headless Chromium needs in a container with no network; give them to Playwright as ``args``."""


def chromium() -> Path:
    """The path of an installed Chromium."""
    for name in NAMES:
        if path := shutil.which(name):
            return Path(path)
    raise ServerUnavailableError("Chromium is not installed (Debian: chromium)")
