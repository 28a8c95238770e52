"""The stage that turns risks into alerts at once, and the loops behind it that do what is due."""

import threading
from collections.abc import Callable, Sequence

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from disposal import retention
from disposal.audit import export_head
from disposal.callout import CallOuts
from disposal.drafter import open_drafter
from disposal.errors import AuditError
from disposal.intake import take_all
from disposal.lease import give_back_of_the_dead, owner_name
from disposal.ledger import spent_today
from disposal.loop import Loop, Sometimes
from disposal.notify import Postman
from disposal.policy import ship_policy
from disposal.settings import DisposalSettings, RetentionSettings
from disposal.situation import current_site
from disposal.steps import Finder, Steps
from disposal.sweep import sweep
from disposal.test_alarm import take_tests
from rules.matcher import Matcher
from rules.settings import RulesSettings
from stream.database import open_database, writing
from stream.errors import EvidenceError
from stream.evidence import EvidenceStore, open_evidence
from stream.health import store_health
from stream.heartbeat import Heartbeat
from stream.log import Consumer, Topic, open_log
from stream.messages import Health, Risk, utc_now
from stream.settings import LogSettings
from stream.worker import Item, Worker

NAME = "disposal"
SWEEP_SECONDS = 6 * 3600.0
_logger = structlog.get_logger()


class DisposalStage:
    """Risks in, alerts out, each committed and visible before anything slow is begun."""

    name = NAME
    topics: Sequence[Topic] = ("risks", "health")
    batch = 64

    def __init__(
        self, engine: Engine, mine: str, settings: DisposalSettings, heartbeat: Heartbeat, wake: Callable[[], None]
    ) -> None:
        self._engine = engine
        self._mine = mine
        self._settings = settings
        self._heartbeat = heartbeat
        self._wake = wake

    def assigned(self, consumer: Consumer, partitions: frozenset[tuple[Topic, int]]) -> None:
        """Nothing is remembered outside the tables."""

    def handle(self, items: Sequence[Item]) -> None:
        """Commit the alerts of a batch together; a risk event that came before changes nothing."""
        store_health(self._engine, [item.message for item in items if isinstance(item.message, Health)])
        risks = take_tests(self._engine, [item.message for item in items if isinstance(item.message, Risk)])
        if not risks:
            return
        try:
            effects = self._take(risks)
        except IntegrityError:
            # A member that has lost its partitions was still writing the same events: now they are known.
            effects = self._take(risks)
        self._heartbeat.count("risk_events", len(risks))
        self._heartbeat.count("alerts", effects.count("raised"))
        self._wake()

    def idle(self) -> None:
        """What is due by time is done by the loops."""

    def close(self) -> None:
        """Nothing is held open."""

    def _take(self, risks: Sequence[Risk]) -> list[str]:
        site = current_site(self._engine, self._mine)
        now = utc_now()
        with writing(self._engine) as session:
            taken = take_all(session, risks, site, self._settings, now)
        for risk, one in zip(risks, taken, strict=True):
            _logger.info("risk taken", risk=risk.risk_id, state=risk.state, alert=one.alert_id, effect=one.effect)
        return [one.effect for one in taken]


class DueLoops:
    """The loops behind the intake: steps, drafting, deliveries, and what time alone makes due."""

    def __init__(
        self,
        engine: Engine,
        mine: str,
        settings: DisposalSettings,
        finder: Callable[[], Finder],
        heartbeat: Heartbeat,
        stop: threading.Event,
        store: EvidenceStore | None = None,
    ) -> None:
        owner = owner_name()
        if taken_over := give_back_of_the_dead(engine, mine, owner, utc_now()):
            _logger.warning("goes on with what a dead worker had in hand", steps=taken_over)
        pictures = (lambda e: store.get(mine, e.sha256, e.media_type)) if store else None
        drafter = open_drafter(
            settings.drafter,
            _counting(heartbeat),
            CallOuts(engine, mine),
            pictures,
            lambda backend: spent_today(engine, mine, backend, utc_now()),
        )
        drafter.warm()
        steps = Steps(engine, mine, finder, drafter, settings, heartbeat.count)
        postman = Postman(engine, mine, settings.notify, owner, heartbeat.count, settings.privacy)
        self._sweep = Sometimes(1.0, lambda: sweep(engine, mine, settings, utc_now()))
        self._heads = Sometimes(settings.audit.seconds, lambda: _export(engine, mine, settings))
        self.loops = (
            Loop("steps", self._waking(lambda: _step(steps, owner)), stop, heartbeat),
            Loop("drafting", self._waking(lambda: steps.do_next(("draft",), f"{owner}:drafting")), stop, heartbeat),
            Loop("deliveries", postman.deliver_next, stop, heartbeat),
            Loop("time", self._by_time, stop, heartbeat),
        )

    def wake(self) -> None:
        """Something was committed that may make something due."""
        for loop in self.loops:
            loop.wake()

    def _waking(self, work: Callable[[], bool]) -> Callable[[], bool]:
        def done() -> bool:
            did = work()
            if did:
                self.wake()
            return did

        return done

    def _by_time(self) -> bool:
        self._sweep()
        self._heads()
        return False


def _step(steps: Steps, owner: str) -> bool:
    """What takes no model: also documents that have waited for one too long."""
    did = steps.do_next(("match", "decide"), f"{owner}:steps")
    return steps.compose_late(f"{owner}:late") or did


def _counting(heartbeat: Heartbeat) -> Callable[[str], None]:
    def count(name: str) -> None:
        heartbeat.count(name)
        if name == "drafts_fell_through":
            said = "Its draft could not be used, or it gave none. The stage's log says why; see that the model answers."
            heartbeat.trouble("drafting", "language model", said)

    return count


class Sweeping:
    """Deletes what has outlived its time, a few times a day, in a thread of its own that nothing waits for."""

    def __init__(
        self,
        engine: Engine,
        store: EvidenceStore,
        mine: str,
        settings: RetentionSettings,
        heartbeat: Heartbeat,
        stop: threading.Event,
    ) -> None:
        self._sometimes = Sometimes(SWEEP_SECONDS, self._sweep)
        self._stores = (engine, store, mine, settings)
        self._heartbeat = heartbeat
        self._stop = stop

    def __call__(self) -> bool:
        """Sweep where it is time to."""
        self._sometimes()
        return False

    def _sweep(self) -> None:
        try:
            swept = retention.sweep(*self._stores, utc_now(), self._stop.is_set)
        except (OSError, EvidenceError) as error:
            _logger.error("evidence not swept", reason=str(error))
            return
        self._heartbeat.count("readings_deleted", swept.readings)
        self._heartbeat.count("evidence_deleted", swept.pieces)


def run_disposal(
    stop: threading.Event,
    *,
    settings: DisposalSettings,
    rules_settings: RulesSettings,
    log_settings: LogSettings,
    database_url: str,
    evidence_url: str,
    mine: str,
) -> None:
    """Run the stage until ``stop`` is set.

    Raises ConfigurationError where something that it was given cannot be used, and whatever ended one of its loops.
    """
    engine = open_database(database_url)
    ship_policy(engine, mine)
    log = open_log(log_settings)
    heartbeat = Heartbeat(engine, mine, NAME)
    matcher = Matcher(engine, mine, rules_settings.matcher)
    store = open_evidence(evidence_url)
    due_loops = DueLoops(engine, mine, settings, lambda: matcher, heartbeat, stop, store)
    stage = DisposalStage(engine, mine, settings, heartbeat, due_loops.wake)
    keeping = settings.retention.outlasting(log_settings.retention_hours)
    sweeping = Sweeping(engine, store, mine, keeping, heartbeat, stop)
    loops = (*due_loops.loops, Loop("retention", sweeping, stop, heartbeat))
    for loop in loops:
        loop.start()
    try:
        Worker(stage, log, mine, heartbeat, stop).run()
    finally:
        stop.set()
        for loop in loops:
            loop.join(5.0)
        log.close()
        engine.dispose()
    for loop in loops:
        if loop.error is not None:
            raise loop.error


def _export(engine: Engine, mine: str, settings: DisposalSettings) -> None:
    if settings.audit.heads is None:
        return
    try:
        export_head(engine, mine, settings.audit.heads)
    except AuditError as error:
        _logger.error("audit head not exported", reason=str(error))
