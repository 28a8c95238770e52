"""What the Kafka log decides by itself: addresses, names and how much may wait."""

import threading
import time

import pytest

from stream.errors import ConfigurationError, LogError
from stream.kafka_link import Pending, group_name, topic_name
from stream.log import open_log
from stream.settings import LogSettings
from tests.servers.server import free_port


@pytest.mark.parametrize(
    "url",
    ["kafka://", "kafka://host", "kafka://host:x", "kafka://user:secret@host:1", "kafka://a:1,b", "kafka://a:99999"],
)
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"log\.url"):
        open_log(LogSettings(url=url))


def test_a_broker_that_is_not_there_is_told_at_once() -> None:
    with pytest.raises(LogError, match="can be reached: Connection refused"):
        open_log(LogSettings(url=f"kafka://127.0.0.1:{free_port()}"))


def test_names_carry_the_prefix() -> None:
    settings = LogSettings(prefix="pit-7")
    assert topic_name(settings, "dead-letters") == "pit-7.dead-letters"
    assert group_name(settings, "vision") == "pit-7.vision"


def test_no_more_waits_than_is_allowed() -> None:
    pending = Pending(100)
    assert pending.take(60, 0.0)
    assert not pending.take(60, 0.05)
    assert pending.take(40, 0.0)
    release = threading.Timer(0.1, lambda: (pending.written(60, None), pending.written(40, None)))
    release.start()
    begun = time.monotonic()
    assert pending.take(500, 10.0), "one that is larger than the bound goes alone"
    assert time.monotonic() - begun < 5
    release.join()
    assert not pending.take(1, 0.0)


def test_what_was_refused_is_told_once() -> None:
    pending = Pending(100)
    for _ in range(2):
        assert pending.take(10, 0.0)
        pending.refused(10, TimeoutError("too late"))
    assert pending.take_refused() == 2
    assert pending.take_refused() == 0
    assert pending.take(100, 0.0)
