"""Evidence: stored whole, checked when read, and never outside its store."""

import hashlib
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import ConfigurationError, EvidenceError
from stream.evidence import EvidenceStore, open_evidence

PICTURE = b"\xff\xd8 a picture \xff\xd9"


@pytest.fixture
def store(tmp_path: Path) -> EvidenceStore:
    return open_evidence((tmp_path / "a folder").as_uri())


def test_what_was_stored_comes_back(store: EvidenceStore) -> None:
    digest = store.put("mine", PICTURE, "image/jpeg")
    assert digest == hashlib.sha256(PICTURE).hexdigest()
    assert store.get("mine", digest, "image/jpeg") == PICTURE
    assert store.path("mine", digest, "image/jpeg").is_relative_to(store.root)


def test_storing_the_same_again_changes_nothing(store: EvidenceStore) -> None:
    path = store.path("mine", store.put("mine", PICTURE, "image/jpeg"), "image/jpeg")
    before = path.stat().st_ino
    store.put("mine", PICTURE, "image/jpeg")
    assert path.stat().st_ino == before
    assert [p for p in store.root.rglob("*") if p.is_file()] == [path]


def test_each_mine_has_its_own(store: EvidenceStore) -> None:
    digest = store.put("mine", PICTURE, "image/jpeg")
    with pytest.raises(EvidenceError, match="cannot be read"):
        store.get("other", digest, "image/jpeg")


def test_tampering_is_noticed(store: EvidenceStore) -> None:
    digest = store.put("mine", PICTURE, "image/jpeg")
    path = store.path("mine", digest, "image/jpeg")
    path.write_bytes(PICTURE.replace(b"a", b"b"))
    with pytest.raises(EvidenceError, match="was altered"):
        store.get("mine", digest, "image/jpeg")


@pytest.mark.parametrize(
    ("mine", "digest", "media_type"),
    [
        ("..", "0" * 64, "image/jpeg"),
        ("a/b", "0" * 64, "image/jpeg"),
        ("", "0" * 64, "image/jpeg"),
        ("mine\n", "0" * 64, "image/jpeg"),
        ("mine", "../../../../etc/passwd", "image/jpeg"),
        ("mine", "0" * 63, "image/jpeg"),
        ("mine", "A" * 64, "image/jpeg"),
        ("mine", "0" * 64 + "\n", "image/jpeg"),
        ("mine", "0" * 64, "text/html"),
        ("mine", "0" * 64, "../image/jpeg"),
    ],
)
def test_no_path_leads_out_of_the_store(store: EvidenceStore, mine: str, digest: str, media_type: str) -> None:
    with pytest.raises(EvidenceError, match="There is no evidence"):
        store.get(mine, digest, media_type)


@given(st.text(max_size=80), st.text(max_size=80), st.text(max_size=20))
def test_whatever_is_asked_for_stays_inside(mine: str, digest: str, media_type: str) -> None:
    root = Path("/evidence")
    try:
        path = EvidenceStore(root).path(mine, digest, media_type)
    except EvidenceError:
        return
    assert path.resolve().is_relative_to(root)


def test_many_at_once_leave_one_whole_file(store: EvidenceStore) -> None:
    large = PICTURE * 20_000
    threads = [threading.Thread(target=store.put, args=("mine", large, "image/png")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    files = [p for p in store.root.rglob("*") if p.is_file()]
    assert len(files) == 1
    assert files[0].read_bytes() == large


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EvidenceError, match="cannot be written"):
        EvidenceStore(tmp_path / "file").put("mine", PICTURE, "image/jpeg")


@pytest.mark.parametrize("url", ["", "folder", "http://host/x", "file://host/x", "s3://bucket"])
def test_another_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"evidence\.url is"):
        open_evidence(url)
