"""When a camera counts as silent, and when as back."""

from stream.offline import Watch
from stream.settings import CaptureSettings


def test_silence_begins_after_twenty_seconds_unless_another_patience_is_set() -> None:
    watch = Watch(CaptureSettings().silence_seconds, now=100.0)
    assert not watch.silent(120.0)
    assert watch.silent(120.1)
    watch.see(120.2)
    assert not watch.silent(140.0)
    assert watch.silent(140.3)


def test_no_sign_of_life_is_older_than_the_last() -> None:
    watch = Watch(20.0, now=100.0)
    watch.see(0.0)
    assert watch.seen_at == 100.0
    assert watch.back(101.0) == 0.0


def test_being_back_takes_pictures_over_some_time() -> None:
    watch = Watch(20.0, now=0.0)
    watch.see(1.0)
    assert watch.silent(30.0)
    watch.forget()
    assert watch.back(30.0) == 0.0
    watch.see(31.0)
    assert watch.back(33.0) == 0.0, "one picture is no series"
    watch.see(33.5)
    assert watch.back(33.6) == 2.5


def test_another_silence_begins_the_count_anew() -> None:
    watch = Watch(5.0, now=0.0)
    watch.forget()
    watch.see(1.0)
    watch.see(2.0)
    assert watch.back(2.0) == 1.0
    assert watch.silent(8.0)
    watch.see(9.0)
    assert watch.back(9.0) == 0.0
    watch.see(13.0)
    assert watch.back(13.0) == 4.0
