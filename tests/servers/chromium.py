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

NOTES = """() => {
  window.notes = {};
  const start = OscillatorNode.prototype.start;
  OscillatorNode.prototype.start = function (...when) {
    const pitch = this.frequency.value;
    window.notes[pitch] = (window.notes[pitch] ?? 0) + 1;
    return start.apply(this, when);
  };
}"""
"""Counts in a page, from its beginning, the notes that it sounds, by pitch."""
RED, BAND = "880", "330"
"""The pitches of what is red, and of the band that says that nothing is heard of the server."""


def chromium() -> Path:
    """The path of an installed Chromium."""
    for name in NAMES:
        if path := shutil.which(name):
            return Path(path)
    raise ServerUnavailableError("Chromium is not installed (Debian: chromium)")
