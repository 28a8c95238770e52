"""Whether the house is fit to be relied on: database, log and every stage that has something to do."""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from console.operation import wanted
from console.stages import READS, SOURCES
from stream.errors import ConfigurationError, LogError
from stream.heartbeat import StageHeartbeat, fresh, stages_since
from stream.log import Log
from stream.messages import utc_now
from stream.site import load_site

EVER = datetime.min.replace(tzinfo=UTC)


def reasons(engine: Engine, mine: str, log: Log) -> list[str]:
    """Why the house is not ready, a sentence for each reason; none where it is."""
    try:
        needed = _needed(engine, mine)
        found = amiss(stages_since(engine, mine, EVER), needed, utc_now())
    except SQLAlchemyError:
        return ["The database does not answer."]
    try:
        for stage, topic in READS.items():
            log.lag(stage, topic)
    except LogError as error:
        found.append(f"The log does not answer: {error}")
    return found


def amiss(heartbeats: Iterable[StageHeartbeat], needed: Collection[str], now: datetime) -> list[str]:
    """What is wrong with the stages that are ``needed``. A source that ended in order had no more to bring."""
    beats = list(heartbeats)
    return [why for stage in needed if (why := _why(stage, [b for b in beats if b.stage == stage], now))]


def _why(stage: str, beats: list[StageHeartbeat], now: datetime) -> str | None:
    alive = [beat for beat in beats if fresh(beat, now)]
    if any(beat.ready for beat in alive):
        return None
    if alive:
        return f"The stage {stage} is still starting."
    if not beats:
        return f"The stage {stage} was never started: 'minewatch run --only {stage}'."
    last = max(beats, key=lambda beat: beat.beat_at)
    if last.ended:
        return None if stage in SOURCES else f"The stage {stage} was stopped at {last.beat_at:%Y-%m-%d %H:%M:%S} UTC."
    seconds = (now - last.beat_at).total_seconds()
    return f"The stage {stage} has given no sign of life for {seconds:.0f} s: look at its log on {last.instance.partition(':')[0]}."


def _needed(engine: Engine, mine: str) -> tuple[str, ...]:
    try:
        site = load_site(engine, mine)[1]
    except ConfigurationError:
        return ("console",)
    return wanted(None, headless=False, site=site)
