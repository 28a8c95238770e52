"""The steps from an alert to its decision: each works outside any transaction and commits under its lease."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

import msgspec
import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError
from sqlmodel import Session, select

from disposal.alert import Alert
from disposal.document import (
    AUTOMATIC,
    Document,
    DocumentState,
    Reason,
    StoredMatch,
    Verdict,
    document_identity,
    to_json,
)
from disposal.drafter import Draft, Drafter
from disposal.due import BACK_OFF, Claim, Line, Move, Result, Standing, claim, finish, next_move, release
from disposal.ledger import book
from disposal.notify import post
from disposal.policy import PolicyVersion, in_force, may_close
from disposal.request import DraftRequest, stored
from disposal.sampling import sampled, sampling_share, tally
from disposal.second_look import note
from disposal.settings import DisposalSettings
from disposal.situation import closed_on, closure_facts, draft_request, events_of, telling_of
from disposal.stamp import content_digest
from disposal.told import tell_of
from rules.matcher import Match
from stream.database import out_of_room, reading
from stream.messages import Risk, utc_now
from stream.trouble import ClockWatch

_logger = structlog.get_logger()
_ACTOR = "disposal"
Clock = Callable[[], datetime]
_BATCH = 16
"""Alerts taken at once where no step of them is slow: their results are committed together."""


class Finder(Protocol):
    """Finds the clauses in force for a risk: ``rules.matcher.Matcher``."""

    def match(self, risk: Risk, at: datetime) -> list[Match]:
        """The clauses for that risk, best first."""
        ...


class Steps:
    """Does what is due for the alerts of one mine. Safe to use from several threads under different owners."""

    def __init__(
        self,
        engine: Engine,
        mine: str,
        finder: Callable[[], Finder],
        drafter: Drafter,
        settings: DisposalSettings,
        count: Callable[[str], None],
        now: Clock = utc_now,
    ) -> None:
        """``now``: the clock that everything here is dated and waited by."""
        self._now = now
        self._engine = engine
        self._mine = mine
        self._finder = finder
        self._drafter = drafter
        self._settings = settings
        self._count = count
        self._clock = ClockWatch()
        self._set_at: datetime | None = None
        self._doing: dict[str, Callable[[Claim], Result]] = {
            "match": self.match,
            "draft": self.draft,
            "decide": self.decide,
        }

    def do_next(self, steps: tuple[str, ...], owner: str) -> bool:
        """Do the most urgent steps that are due among ``steps``, some at a time; answers whether there were any."""
        if self._clock.step() is not None:
            self._set_at = self._now()
        seconds = self._settings.lease_seconds + self._settings.drafter.seconds
        limit = _BATCH if self._drafter.quick or "draft" not in steps else self._drafter.batch
        taken = claim(self._engine, self._mine, steps, owner, self._now(), seconds, limit)
        if steps == ("draft",) and len(taken) > 1 and self._drafter.batch > 1:
            self._finish(self._draft_all(taken))
            return True
        results = []
        for one in taken:
            try:
                results.append(self._doing[one.alert.step](one))
            except Exception as error:  # noqa: BLE001  # whatever goes wrong in one alert must not stop the others
                self._failed(one, error)
        self._finish(results)
        return bool(taken)

    def compose_late(self, owner: str) -> bool:
        """Compose what has waited for a model past its budget, the most urgent first; answers whether there was any.

        In a flood the model goes on with the most urgent alerts meanwhile.
        """
        if self._drafter.quick:
            return False
        wait = self._settings.drafter.wait_seconds
        due, seconds = self._now() - timedelta(seconds=wait), self._settings.lease_seconds + wait
        taken = claim(self._engine, self._mine, ("draft",), owner, due, seconds, _BATCH)
        results = []
        for one in taken:
            try:
                document, request = self._request(one)
                results.append(_drafted(one, document, self._drafter.compose(request), self._now))
            except Exception as error:  # noqa: BLE001  # as in do_next
                self._failed(one, error)
        self._finish(results)
        return bool(taken)

    def _draft_all(self, taken: list[Claim]) -> list[Result]:
        """Have several documents written side by side."""
        asked = []
        for one in taken:
            try:
                asked.append((one, *self._request(one)))
            except Exception as error:  # noqa: BLE001  # as in do_next
                self._failed(one, error)
        try:
            drafts = self._drafter.draft_all([request for _, _, request in asked])
        except Exception as error:  # noqa: BLE001  # as in do_next
            for one, _, _ in asked:
                self._failed(one, error)
            return []
        return [
            _drafted(one, document, draft, self._now) for (one, document, _), draft in zip(asked, drafts, strict=True)
        ]

    def _finish(self, results: list[Result]) -> None:
        """Commit results together; where one spoils that, each by itself."""
        try:
            dropped = finish(self._engine, results) if results else []
        except OperationalError:
            raise
        except Exception as error:  # noqa: BLE001  # as above
            if len(results) == 1:
                self._failed(results[0].claim, error)
                return
            for result in results:
                self._finish([result])
            return
        for claim_ in dropped:
            release(self._engine, claim_, self._now(), failed=False)
        gone = {claim_.alert.id for claim_ in dropped}
        tell_of(self._engine, [one.claim.alert for one in results if one.claim.alert.id not in gone])

    def match(self, taken: Claim) -> Result:
        """Find the clauses for an alert and open its document with them."""
        with reading(self._engine) as session:
            risk = telling_of(taken.alert, events_of(session, taken.alert.id))
        return _opened(taken, stored(self._finder().match(risk, self._now())), self._now)

    def draft(self, taken: Claim) -> Result:
        """Have the document written."""
        document, request = self._request(taken)
        return _drafted(taken, document, self._drafter.draft(request), self._now)

    def _request(self, taken: Claim) -> tuple[Document, DraftRequest]:
        document = self._document(taken.alert)
        language, privacy = self._settings.drafter.language, self._settings.privacy
        return document, draft_request(self._engine, taken.alert, document, language, self._now(), privacy)

    def decide(self, taken: Claim) -> Result:
        """Let the policy judge, or put the document before a person, or wait for what has to come first."""
        document = self._document(taken.alert)
        with reading(self._engine) as session:
            policy = in_force(session, self._mine)
        move = self._move(taken.alert, document, policy)
        if move.action in ("wait", "rest"):
            return Result(taken, lambda _, alert: _hold(alert, move), unchanged=True)
        verdict = self._judge(taken.alert, document, policy)

        def apply(session: Session, alert: Alert) -> Line:
            return self._settle(session, alert, session.get_one(Document, document.id), move, verdict, policy)

        return Result(taken, apply, unchanged=True)

    def _move(self, alert: Alert, document: Document, policy: PolicyVersion | None) -> Move:
        content = policy.read() if policy else None
        standing = Standing(
            alert.type,
            alert.source_kind,
            alert.episode,
            alert.committed_at,
            self._returned(alert),
            DocumentState(document.state),
        )
        return next_move(
            standing,
            content.types if content else (),
            policy.state if policy else None,
            content.stable_seconds if content else 0.0,
            self._settings.closure.ongoing_seconds,
            self._now(),
        )

    def _judge(self, alert: Alert, document: Document, policy: PolicyVersion | None) -> Verdict:
        if policy is None:
            return may_close_nothing()
        content = policy.read()
        now, returned = self._now(), self._returned(alert)
        facts = closure_facts(self._engine, alert, document, content, now)
        stable = (now - returned).total_seconds() if returned else None
        said = may_close(content, msgspec.structs.replace(facts, stable_seconds=stable))
        return Verdict(close=said.close, reasons=said.reasons, policy=policy.id, shadow=policy.state != "ACTIVE")

    def _returned(self, alert: Alert) -> datetime | None:
        """Since when the hazard has been gone; where the clock was set meanwhile, that is counted anew from then.

        An hour that the clock was set forward is none in which anybody saw that the hazard stayed away.
        """
        returned, since = alert.returned_at, self._set_at
        if returned is None or since is None or since <= returned <= self._now():
            return returned
        return since

    def _settle(
        self, session: Session, alert: Alert, row: Document, move: Move, verdict: Verdict, policy: PolicyVersion | None
    ) -> Line:
        """Write down what was decided: closed by the policy, before a person, or in shadow only noted."""
        before = {"alert": str(alert.state), "document": row.state}
        closes = move.action == "judge" and verdict.close and policy is not None
        if closes and policy is not None and (bar := _barred_now(session, policy, self._now())):
            verdict, closes = _barred(verdict, bar), False
        row.verdict, row.policy, row.would_close = to_json(verdict), verdict.policy, verdict.close
        if closes and policy is not None:
            _close(session, alert, row, policy, self._now())
            self._count("auto_closed")
        elif row.state == DocumentState.CHECKED:
            row.state = DocumentState.PENDING_APPROVAL
            alert.updated_at = self._now()
        alert.step = "decide" if move.action == "person" and verdict.shadow else "none"
        alert.due_at = alert.returned_at if alert.step == "decide" and alert.episode != "ongoing" else None
        session.add(row)
        after = {"alert": str(alert.state), "document": row.state, "would_close": verdict.close}
        action = "auto-close" if closes else "submit" if before["document"] != row.state else "judge"
        return Line(verdict.policy if action != "submit" else _ACTOR, action, before, after)

    def _document(self, alert: Alert) -> Document:
        with reading(self._engine) as session:
            return session.get_one(Document, document_identity(alert.id, alert.document_version))

    def _failed(self, taken: Claim, error: Exception) -> None:
        """Try again later; after some tries go on without, so that the alert reaches a person whatever happens.

        Without room in the database nothing of that could be written down: its error goes on to the loop, which waits.
        """
        if out_of_room(error):
            raise error
        alert = taken.alert
        _logger.exception("step failed", step=alert.step, alert=alert.id, attempt=alert.attempts + 1)
        self._count("steps_failed")
        if alert.attempts < len(BACK_OFF):
            due = self._now() + timedelta(seconds=BACK_OFF[alert.attempts])
            release(self._engine, taken, due, failed=True)
            return
        finish(self._engine, [_given_up(taken, error, self._now)])


def may_close_nothing() -> Verdict:
    """The verdict where no policy is in force."""
    return Verdict(close=False, reasons=(Reason(condition="policy", ok=False, figures="none"),))


def _drafted(taken: Claim, document: Document, draft: Draft, clock: Clock) -> Result:
    def apply(session: Session, alert: Alert) -> Line:
        row, now = session.get_one(Document, document.id), clock()
        _write(row, draft, now)
        note(alert, draft.look)
        session.add(row)
        book(session, alert.mine, row.id, draft.uses, draft.backend, now)
        _advance(alert, "decide", now)
        alert.responsible_zh, alert.responsible_en = draft.content.responsible.zh, draft.content.responsible.en
        actor = draft.backend if draft.schema_valid is None else f"model:{draft.backend}"
        after = {"document": row.state, "version": row.version, "backend": draft.backend, "checks": row.checks}
        after["digest"] = content_digest(row)
        if draft.look is not None:
            after["look"] = f"{draft.look.verdict}: {draft.look.reason}"
        return Line(actor, "drafted", {"document": "DRAFT"}, after)

    return Result(taken, apply)


def _advance(alert: Alert, step: str, now: datetime) -> None:
    alert.step, alert.due_at, alert.attempts, alert.updated_at = step, now, 0, now


def _write(row: Document, draft: Draft, now: datetime) -> None:
    row.state = DocumentState.CHECKED
    row.content, row.checks = to_json(draft.content), to_json(draft.checks)
    row.backend, row.language, row.prompt = draft.backend, draft.language, draft.prompt
    row.schema_valid, row.repaired, row.fell_through = draft.schema_valid, draft.repaired, draft.fell_through
    row.seconds = draft.seconds
    row.deadline = draft.content.deadline
    row.checked_at = now


def _close(session: Session, alert: Alert, row: Document, policy: PolicyVersion, now: datetime) -> None:
    """Close by policy; the document still goes out, and some closures are put before a person again."""
    for event in AUTOMATIC.events:
        alert.move(event)
    if alert.acked_by is None:
        alert.acked_by, alert.acked_at = policy.id, now
    alert.closed, alert.closed_at, alert.closed_by, alert.escalate_at = True, now, policy.id, None
    alert.updated_at = now
    row.auto_closed_at = row.decided_at = row.closed_at = now
    row.decision, row.decided_by = "auto-close", policy.id
    share = sampling_share(tally(session, alert.mine, policy.id), policy.read())
    row.state = DocumentState.SAMPLED if sampled(row.id, share) else DocumentState.AUTO_CLOSED
    post(session, alert.mine, "document", f"document/{row.id}", row.content, key=f"document/{row.id}")


def _opened(taken: Claim, matches: tuple[StoredMatch, ...], clock: Clock) -> Result:
    def apply(session: Session, alert: Alert) -> Line:
        now = clock()
        alert.document_version += 1
        session.add(
            Document(
                id=document_identity(alert.id, alert.document_version),
                alert_id=alert.id,
                mine=alert.mine,
                version=alert.document_version,
                state=DocumentState.DRAFT,
                matches=to_json(matches),
                created_at=now,
            )
        )
        _advance(alert, "draft", now)
        after = {"document": "DRAFT", "version": alert.document_version, "clauses": [m.version_id for m in matches]}
        return Line(_ACTOR, "matched", {}, after)

    return Result(taken, apply)


def _given_up(taken: Claim, error: Exception, clock: Clock) -> Result:
    """Go on without what could not be done: without clauses, or without a draft or verdict, to a person."""
    if taken.alert.step == "match":
        return _opened(taken, (), clock)
    said = Verdict(close=False, reasons=(Reason(condition="policy", ok=False, figures=type(error).__name__),))

    def apply(session: Session, alert: Alert) -> Line:
        row = session.get_one(Document, document_identity(alert.id, alert.document_version))
        before = {"document": row.state}
        row.state, row.verdict = DocumentState.PENDING_APPROVAL, to_json(said)
        session.add(row)
        alert.step, alert.due_at, alert.updated_at = "none", None, clock()
        return Line(_ACTOR, "submit", before, {"document": row.state, "error": type(error).__name__})

    return Result(taken, apply)


def _hold(alert: Alert, move: Move) -> None:
    alert.step = alert.step if move.action == "wait" else "none"
    alert.due_at = move.until


def _barred_now(session: Session, policy: PolicyVersion, now: datetime) -> str:
    """The condition that has come to fail since the verdict: the policy was suspended, or its daily cap reached.

    The policy's row is locked, so that closures of the same policy come one after the other.
    """
    query = select(PolicyVersion).where(
        PolicyVersion.mine == policy.mine, PolicyVersion.name == policy.name, PolicyVersion.version == policy.version
    )
    row = session.exec(query.with_for_update().execution_options(populate_existing=True)).first()
    session.flush()
    if row is None or row.state != "ACTIVE":
        return "policy"
    return "cap" if closed_on(session, row.mine, now) >= row.read().daily_cap else ""


def _barred(verdict: Verdict, condition: str) -> Verdict:
    reasons = [r for r in verdict.reasons if r.condition != condition]
    reasons.append(Reason(condition=condition, ok=False, figures="no longer, when the closure was committed"))
    return msgspec.structs.replace(verdict, close=False, reasons=tuple(reasons))
