"""Backup while the system is written to, and restore: everything comes back, or nothing is left behind."""

import hashlib
import io
import json
import shutil
import tarfile
import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlmodel import Session, func, select

from console.backup import back_up
from console.installation import Installation, open_installation
from console.restore import restore
from console.settings import load
from disposal import audit
from disposal.alert import AlertRisk
from disposal.evidence import named_evidence
from stream import archive
from stream.database import open_database
from stream.database_copy import check_sqlite
from stream.errors import BackupError
from stream.evidence import open_evidence
from stream.log import open_log
from stream.site import store_site
from tests.acceptance.command import minewatch
from tests.integration.console_mine import MINE, SITE, Mine, drawn_picture

CONFIG = f'mine = "{MINE}"\n[log]\nurl = "embedded:"\nframes_bytes = 16777216\n'


class Site:
    """A set-up installation with a configuration, and something that goes on raising risks in it."""

    def __init__(self, folder: Path, url: str = "") -> None:
        folder.mkdir()
        self.config = folder / "minewatch.toml"
        self.config.write_text(CONFIG + (f'[database]\nurl = "{url}"\n' if url else ""))
        self.data = folder / "data"
        settings = load(self.config, {}, self.data)
        self.installation: Installation = open_installation(settings, self.data, "site")
        self.log = open_log(settings.log)
        self.mine = Mine(folder, self.installation.engine, self.installation.evidence, self.log, drawn_picture())
        store_site(self.mine.engine, SITE, "test")
        self.heads = self.data / "audit-heads.jsonl"

    def raise_one(self, number: int) -> None:
        self.mine.picture = f"picture {number}".encode()
        self.mine.raise_risk("no-vest")
        self.log.append("risks", f"{MINE}/cam-belt", b"risk")
        audit.export_head(self.mine.engine, MINE, self.heads)

    def risks(self) -> int:
        return risks(self.installation)

    def close(self) -> None:
        self.log.close()
        self.installation.engine.dispose()


def risks(installation: Installation) -> int:
    with Session(installation.engine) as session:
        return session.exec(select(func.count()).select_from(AlertRisk)).one()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "site")
    yield made
    made.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of a small site, to be copied and damaged."""
    folder = tmp_path_factory.mktemp("made")
    site = Site(folder / "site")
    for number in range(3):
        site.raise_one(number)
    back_up(site.installation, site.config, folder / "site.tar")
    site.close()
    return folder / "site.tar"


def nothing_left(folder: Path) -> bool:
    return (
        not (folder / "back").exists() and not list(folder.glob(".minewatch*")) and not list(folder.glob("*.partial"))
    )


def backed_up(site: Site, file: Path, *, by_command: bool) -> int:
    """How many pieces of evidence were missing."""
    if not by_command:
        return back_up(site.installation, site.config, file).missing
    answer = minewatch("backup", file, "--config", site.config, "--data", site.data, "--json")
    assert answer.code == 0, answer.err
    return int(answer.json["evidence_missing"])


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_backup_under_load_and_restore(request: pytest.FixtureRequest, tmp_path: Path, database: str) -> None:
    fresh: Callable[[], str] | None = request.getfixturevalue("postgres") if database == "postgresql" else None
    site = Site(tmp_path / "site", fresh() if fresh else "")
    stop = threading.Event()
    written = count()
    failed: list[BaseException] = []

    def go_on() -> None:
        try:
            while not stop.is_set():
                site.raise_one(next(written))
        except BaseException as error:  # noqa: BLE001  # handed to the test
            failed.append(error)

    writer = threading.Thread(target=go_on)
    writer.start()
    try:
        while site.risks() < 5:
            assert writer.is_alive(), failed
        before = site.risks()
        file = tmp_path / "site.tar"
        missing = backed_up(site, file, by_command=fresh is None)
    finally:
        stop.set()
        writer.join()
    assert not failed
    assert missing == 0
    assert site.risks() > before, "nothing was written meanwhile"
    assert file.stat().st_mode & 0o777 == 0o600
    last = site.log.append("risks", f"{MINE}/cam-belt", b"risk")

    variables = {"MINEWATCH_DATABASE__URL": fresh()} if fresh else {}
    back = tmp_path / "back"
    if fresh:
        assert restore(file, back, None, variables).manifest.about["mine"] == MINE
    else:
        answer = minewatch("restore", file, "--data", back, "--json")
        assert answer.code == 0, answer.err
        assert answer.json["mine"] == MINE
    restored = open_installation(load(back / "minewatch.toml", variables, back), back, "site")
    assert before <= risks(restored) <= site.risks()
    chain = audit.verify(restored.engine, MINE, audit.read_head(MINE, back / "audit-heads.jsonl"))
    assert chain.whole, chain.reason
    assert chain.lines >= before
    pieces = list(named_evidence(restored.engine))
    assert len(pieces) == risks(restored)
    for piece in pieces:
        restored.evidence.get(piece.mine, piece.sha256, piece.media_type)
    if not fresh:
        check_sqlite(back / "minewatch.db")
    log = open_log(restored.settings.log)
    assert 0 < log.lag("disposal", "risks") <= last.offset + 1
    log.close()
    restored.engine.dispose()
    site.close()


def test_a_restored_log_gives_no_offset_out_twice(site: Site, tmp_path: Path) -> None:
    given = [site.log.append("frames", f"{MINE}/cam-belt", b"frame") for _ in range(3)]
    site.raise_one(1)
    back_up(site.installation, site.config, tmp_path / "site.tar")
    restore(tmp_path / "site.tar", tmp_path / "back", None, {})
    log = open_log(load(tmp_path / "back" / "minewatch.toml", {}, tmp_path / "back").log)
    assert log.append("frames", f"{MINE}/cam-belt", b"frame").offset > max(position.offset for position in given)
    assert log.lag("disposal", "risks") == 1
    log.close()


def test_evidence_and_database_go_where_the_configuration_says(made: Path, tmp_path: Path) -> None:
    config = tmp_path / "other.toml"
    config.write_text(
        f'mine = "{MINE}"\n[database]\nurl = "sqlite:///{tmp_path}/elsewhere/mine.db"\n'
        f'[evidence]\nurl = "file://{tmp_path}/evidence"\n'
    )
    done = restore(made, tmp_path / "back", config, {})
    assert done.configuration == tmp_path / "back" / "minewatch.toml"
    engine = open_database(f"sqlite:///{tmp_path}/elsewhere/mine.db")
    store = open_evidence(f"file://{tmp_path}/evidence")
    assert len([store.get(*piece) for piece in named_evidence(engine)]) == 3
    engine.dispose()
    assert {path.name for path in (tmp_path / "back").iterdir()} == {
        "installation.json", "minewatch.toml", "audit-heads.jsonl", "log",
    }  # fmt: skip
    with pytest.raises(BackupError, match=r"mine\.db exists already"):
        restore(made, tmp_path / "again", config, {})
    assert not (tmp_path / "again").exists()


def test_evidence_that_is_gone_is_said(site: Site, tmp_path: Path) -> None:
    site.raise_one(1)
    site.raise_one(2)
    [lost, _] = named_evidence(site.mine.engine)
    site.installation.evidence.path(*lost).unlink()
    done = back_up(site.installation, site.config, tmp_path / "site.tar")
    assert (done.evidence, done.missing) == (1, 1)


def test_no_backup_replaces_an_older_one(site: Site, made: Path, tmp_path: Path) -> None:
    file = tmp_path / "site.tar"
    file.write_bytes(b"the only one")
    with pytest.raises(BackupError, match="exists already"):
        back_up(site.installation, site.config, file)
    assert file.read_bytes() == b"the only one"
    with pytest.raises(BackupError, match="folder that exists"):
        back_up(site.installation, site.config, tmp_path / "nowhere" / "site.tar")


def test_a_damaged_database_is_not_backed_up(site: Site, tmp_path: Path) -> None:
    for number in range(20):
        site.raise_one(number)
    site.installation.engine.dispose()
    database = site.data / "minewatch.db"
    content = bytearray(database.read_bytes())
    content[8192 : len(content) - 4096] = b"\x55" * (len(content) - 12288)
    database.write_bytes(content)
    with pytest.raises(BackupError, match="damaged"):
        back_up(site.installation, site.config, tmp_path / "site.tar")
    assert not (tmp_path / "site.tar").exists()
    assert nothing_left(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.5, 0.9, 0.99])
def test_an_archive_that_was_cut_short_leaves_nothing(made: Path, tmp_path: Path, share: float) -> None:
    whole = made.read_bytes()
    file = tmp_path / "cut.tar"
    file.write_bytes(whole[: int(len(whole.rstrip(b"\0")) * share)])
    with pytest.raises(BackupError, match=r"cut short|cannot be read"):
        restore(file, tmp_path / "back", None, {})
    assert nothing_left(tmp_path)


def members(file: Path) -> dict[str, bytes]:
    with tarfile.open(file) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


def packed(file: Path, content: dict[str, bytes]) -> Path:
    with tarfile.open(file, "w") as tar:
        for name, data in content.items():
            header = tarfile.TarInfo(name)
            header.size = len(data)
            tar.addfile(header, io.BytesIO(data))
    return file


def resealed(file: Path, content: dict[str, bytes], **about: str) -> Path:
    """An archive whose manifest fits what is in it, as somebody who wants to do harm would make it."""
    manifest = json.loads(content.pop("manifest.json"))
    manifest["about"].update(about)
    manifest["files"] = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in content.items()
    }
    return packed(file, {**content, "manifest.json": json.dumps(manifest).encode()})


@pytest.mark.parametrize(
    "name", ["installation.json", "minewatch.toml", "database.sqlite", "log/durable/data.mdb", "evidence"]
)
def test_one_altered_byte_is_found(made: Path, tmp_path: Path, name: str) -> None:
    content = members(made)
    [first, *_] = [found for found in content if found.startswith(name)]
    content[first] = bytes([content[first][0] ^ 1]) + content[first][1:]
    with pytest.raises(BackupError, match=f"damaged at {first}"):
        restore(packed(tmp_path / "x.tar", content), tmp_path / "back", None, {})
    assert nothing_left(tmp_path)


def test_a_member_that_is_missing_is_found(made: Path, tmp_path: Path) -> None:
    content = members(made)
    del content["database.sqlite"]
    with pytest.raises(BackupError, match=r"damaged at database\.sqlite"):
        restore(packed(tmp_path / "x.tar", content), tmp_path / "back", None, {})


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "evidence/../../outside", "a//b", "./a", ".hidden"])
def test_a_path_that_leads_elsewhere_is_refused(made: Path, tmp_path: Path, name: str) -> None:
    file = resealed(tmp_path / "x.tar", {name: b"x", **members(made)})
    with pytest.raises(BackupError, match="which no backup holds"):
        restore(file, tmp_path / "back", None, {})
    assert nothing_left(tmp_path)


def test_a_file_that_no_backup_holds_is_refused(made: Path, tmp_path: Path) -> None:
    for name in ("weights.pt", "log/lock", "evidence/north/ab/script.sh"):
        file = resealed(tmp_path / "x.tar", {name: b"x", **members(made)})
        with pytest.raises(BackupError, match="holds no installation"):
            restore(file, tmp_path / "back", None, {})
        assert nothing_left(tmp_path)


def test_links_and_devices_are_refused(made: Path, tmp_path: Path) -> None:
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE):
        file = tmp_path / "x.tar"
        with tarfile.open(file, "w") as tar:
            header = tarfile.TarInfo("evidence")
            header.type, header.linkname = kind, "/etc"
            tar.addfile(header)
        with pytest.raises(BackupError, match="which no backup holds"):
            restore(file, tmp_path / "back", None, {})


def test_what_a_newer_release_wrote_is_refused(made: Path, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match=r"'9999'.*with release 7\.0"):
        restore(resealed(tmp_path / "x.tar", members(made), schema="9999", release="7.0"), tmp_path / "back", None, {})
    content = members(made)
    content["manifest.json"] = json.dumps({"format": 2, "more": "than we know"}).encode()
    with pytest.raises(BackupError, match="format 2"):
        restore(packed(tmp_path / "y.tar", content), tmp_path / "back", None, {})
    assert nothing_left(tmp_path)


def test_the_databases_own_word_counts(made: Path, tmp_path: Path) -> None:
    content = members(made)
    engine = open_database(f"sqlite:///{tmp_path / 'future.db'}")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num TEXT)")
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES ('9999')")
    engine.dispose()
    content["database.sqlite"] = (tmp_path / "future.db").read_bytes()
    for copy, why in ((content["database.sqlite"], "does not know"), (b"no database", "damaged")):
        file = resealed(tmp_path / "x.tar", {**content, "database.sqlite": copy})
        with pytest.raises(BackupError, match=why):
            restore(file, tmp_path / "back", None, {})
        assert nothing_left(tmp_path)


def test_a_folder_that_holds_anything_is_left_alone(made: Path, site: Site, tmp_path: Path) -> None:
    before = sorted(site.data.rglob("*"))
    with pytest.raises(BackupError, match="holds something already"):
        restore(made, site.data, None, {})
    assert sorted(site.data.rglob("*")) == before
    (tmp_path / "empty").mkdir()
    assert restore(made, tmp_path / "empty", None, {}).manifest.about["mine"] == MINE


def test_a_database_of_the_other_kind_is_refused(made: Path, tmp_path: Path) -> None:
    config = tmp_path / "postgres.toml"
    config.write_text('[database]\nurl = "postgresql+psycopg://nobody@127.0.0.1:1/none"\n')
    with pytest.raises(BackupError, match="of the other kind"):
        restore(made, tmp_path / "back", config, {})
    assert nothing_left(tmp_path)


def test_without_postgresqls_client_it_says_what_to_install(
    postgres: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(tmp_path / "site", postgres())
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackupError, match=r"pg_dump is not installed.*postgresql-client"):
        back_up(site.installation, site.config, tmp_path / "site.tar")
    assert nothing_left(tmp_path)
    assert not (tmp_path / "site.tar").exists()
    site.close()


def test_a_postgresql_that_holds_tables_is_left_alone(postgres: Callable[[], str], tmp_path: Path) -> None:
    url = postgres()
    site = Site(tmp_path / "site", url)
    site.raise_one(1)
    back_up(site.installation, site.config, tmp_path / "site.tar")
    with pytest.raises(BackupError, match="holds tables already"):
        restore(tmp_path / "site.tar", tmp_path / "back", None, {})
    assert site.risks() == 1
    assert nothing_left(tmp_path)
    site.close()


def test_a_full_disk_leaves_nothing(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(BackupError, match="GiB free"):
        restore(made, tmp_path / "back", None, {})
    assert nothing_left(tmp_path)


def test_plain_tar_opens_it(made: Path) -> None:
    content = members(made)
    manifest = archive.verify(made)
    assert set(content) == {*manifest.files, "manifest.json"}
    assert manifest.total == sum(len(data) for name, data in content.items() if name != "manifest.json")
