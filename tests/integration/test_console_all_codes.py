"""Every code at hand imported by the command into one fresh site, then read on the officer's page in both languages."""

import html
import json
import os
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from console.accounts import add_user
from console.app import create_app
from console.cli import app
from console.pages import LANGUAGE_COOKIE
from console.web_settings import WebSettings
from rules.clause import listing
from stream.database import open_database
from stream.evidence import EvidenceStore
from stream.log import open_log
from stream.messages import utc_now
from stream.settings import LogSettings
from tests.integration.console_client import log_in
from tests.integration.console_mine import PASSWORD

DATA = os.environ.get("MINEWATCH_TEST_DATA")
pytestmark = pytest.mark.skipif(not DATA, reason="MINEWATCH_TEST_DATA names the folder of outside material")


def imported(file: Path, code: str, edition: str, data: Path) -> int:
    """Import a file by the command, as ``import`` does it for whoever types it; answers how many clauses it has."""
    arguments = ["clauses", "import", str(file), "--code", code, "--edition", edition, "--data", str(data), "--json"]
    answer = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert answer.exit_code == 0, (file.name, answer.output)
    report = json.loads(answer.stdout)
    assert report["written"], file.name
    return int(report["count"])


def test_all_codes_are_imported_by_the_command_and_read_on_the_page(tmp_path: Path) -> None:
    folder, data = Path(DATA or "") / "codes", tmp_path / "data"
    files = {f"zh-{n}": file for n, file in enumerate(sorted((folder / "zh").glob("*.*")))}
    counts = {code: imported(file, code, "1", data) for code, file in files.items()}
    by_name = {files[code].name: count for code, count in counts.items()}
    assert len(by_name) == 13
    assert by_name["mkaqgc_2016_articles.json"] == 718
    assert by_name["2-煤矿建设安全规程.txt"] >= 715
    sections = sorted((folder / "cfr30").glob("*.md"))
    assert [imported(file, "CFR30", "2024", data) for file in sections] == [1] * 24
    counts["CFR30"] = len(sections)

    engine = open_database(f"sqlite:///{data / 'minewatch.db'}")
    add_user(engine, "mine", "anna", "officer", PASSWORD)
    log = open_log(LogSettings(folder=tmp_path / "log", frames_bytes=16 * 1024**2))
    console = create_app(engine, "mine", EvidenceStore(tmp_path / "evidence"), log, WebSettings(language="en"))
    officer = TestClient(console)
    assert log_in(officer, "anna").status_code == 303
    for tongue, edit in (("en", "Edit (makes a new draft)"), ("zh", "修改（生成新草稿）")):
        officer.cookies.set(LANGUAGE_COOKIE, tongue)
        for code, count in counts.items():
            page = officer.get(f"/clauses?code={code}").text
            assert page.count(f'<a href="/clauses/{code}%3A') == count, (code, tongue)
            clauses = listing(engine, code, utc_now())
            last = officer.get(f"/clauses/{clauses[-1].clause_id}").text
            assert f'<html lang="{tongue}' in last
            assert edit in last
            assert clauses[-1].text(tongue).splitlines()[0] in html.unescape(last), (code, tongue)
    engine.dispose()
    log.close()
