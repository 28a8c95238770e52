"""The same clips give the same risks on Kafka as on the embedded log."""

from pathlib import Path

from tests.integration.house import build


def test_both_logs_give_the_same_risks(test_data: Path, kafka: str, tmp_path: Path) -> None:
    clips = [test_data / "video" / name for name in ("worker-zone-detection.mp4", "bottle-detection.mp4")]
    embedded = build(tmp_path / "embedded", clips)
    one = embedded.run()
    other_house = build(tmp_path / "kafka", clips, log__url=f"kafka://{kafka}", log__prefix="same-risks")
    other = other_house.run()
    assert embedded.episodes() == other_house.episodes() != []
    for key in ("frames_read", "frames_skipped", "risks", "risks_by_type", "alerts", "documents", "dead_letters"):
        assert one[key] == other[key], key
