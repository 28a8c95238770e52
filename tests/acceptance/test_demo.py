"""`minewatch demo` shows the main job within a minute."""

import json
from pathlib import Path

import pytest

from disposal.settings import DrafterSettings
from tests.acceptance.command import ORDER, Answer, database, minewatch, raised


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Answer, Path]:
    data = tmp_path_factory.mktemp("demo")
    as_it_ships = {ORDER: json.dumps(DrafterSettings().order)}
    arguments = ("demo", "--headless", "--seconds", "60", "--json", "--data", data)
    return minewatch(*arguments, variables=as_it_ships), data / "demo"


def test_the_main_job_is_shown_within_sixty_seconds(shown: tuple[Answer, Path]) -> None:
    answer, _ = shown
    assert answer.code == 0, answer.err
    result = answer.json
    assert result["documents"] >= 5
    assert result["auto_closed"] >= 1
    assert result["pending"] >= 1
    assert result["dead_letters"] == 0
    assert result["readings"] > 0
    assert len(result["risks_by_type"]) >= 5


def test_three_types_are_seen_by_vision_on_four_cameras_beside_three_sensors(shown: tuple[Answer, Path]) -> None:
    from stream.site import load_site

    _, folder = shown
    engine = database(folder)
    _, site = load_site(engine, "demo")
    assert len(site.cameras) >= 4
    assert len(site.sensors) >= 3
    risks = [r for r in raised(engine) if r.source_kind == "camera" and r.type != "camera-offline"]
    seen_by_vision = {r.type for r in risks}
    assert len(seen_by_vision) >= 3


def test_what_closed_by_itself_was_routine_and_says_why(shown: tuple[Answer, Path]) -> None:
    from sqlmodel import Session, col, select

    from disposal.alert import Alert
    from disposal.document import Document

    _, folder = shown
    with Session(database(folder)) as session:
        closed = session.exec(
            select(Document, Alert)
            .join(Alert, Alert.id == Document.alert_id)
            .where(col(Document.state).in_(("AUTO_CLOSED", "SAMPLED")))  # some are drawn for a person to check at once
        ).all()
    assert closed
    for document, alert in closed:
        assert alert.grade == "general"
        assert alert.episode == "cleared"
        assert document.verdict


def test_with_nothing_configured_what_ships_drafts(shown: tuple[Answer, Path]) -> None:
    from sqlmodel import Session, select

    from disposal.document import Document

    _, folder = shown
    with Session(database(folder)) as session:
        backends = [str(backend).partition(":")[0] for backend in session.exec(select(Document.backend)) if backend]
    assert backends
    assert set(backends) <= {"clerk", "composer"}, "what comes while the model is loaded is composed"


def test_the_audit_chain_of_the_run_is_whole(shown: tuple[Answer, Path]) -> None:
    _, folder = shown
    answer = minewatch("audit", "verify", "--data", folder, "--json")
    assert answer.code == 0, answer.err
    assert answer.json["lines"] > 0
    assert answer.json["whole"] is True


def test_a_demonstration_never_starts_in_the_folder_of_a_site(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "installation.json").write_text('{"kind": "site", "format": 1}')
    answer = minewatch("demo", "--headless", "--seconds", "1", "--data", tmp_path)
    assert answer.code == 2
    assert "holds something else than a demonstration" in answer.line
    assert sorted(p.name for p in (tmp_path / "demo").iterdir()) == ["installation.json"]


def test_a_site_never_starts_in_the_folder_of_a_demonstration(tmp_path: Path) -> None:
    (tmp_path / "installation.json").write_text('{"kind": "demo", "format": 1}')
    configuration = tmp_path / "minewatch.toml"
    configuration.write_text('mine = "north"\n')
    answer = minewatch("run", "--config", configuration, "--seconds", "1", "--data", tmp_path)
    assert answer.code == 2
    assert "holds a demo" in answer.line
