import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from disposal.audit import verify
from disposal.errors import PolicyError
from disposal.policy import (
    CONDITIONS,
    SHIPPED,
    AreaReading,
    Cited,
    ClosureFacts,
    ClosurePolicy,
    activate_for_demo,
    in_force,
    may_close,
    put_in_shadow,
    put_policy,
    ship_policy,
)
from stream.catalogue import RISK_TYPES
from stream.database import open_database, reading, writing
from stream.messages import Absence
from tests.unit.disposal_world import MINE, SEEN_TO_END, furnish

POLICY = ClosurePolicy(types=SHIPPED.types)
GOOD = ClosureFacts(
    type="no-helmet",
    source_kind="camera",
    episode="cleared",
    absence=SEEN_TO_END,
    camera_trouble=(),
    stable_seconds=60.0,
    readings=(AreaReading(sensor="ch4-1", quantity="methane", value=0.2, unit="%", within=True),),
    confidence=0.9,
    recurrences=1,
    alerts_lately=2,
    shelved=False,
    document_faults=(),
    citations=(Cited(version_id="cn-coal:18@1", retrieved=True, in_force=True),),
    closed_today=0,
)
OUT = AreaReading(sensor="ch4-1", quantity="methane", value=1.4, unit="%", within=False)
MISSING = AreaReading(sensor="ch4-1", quantity="methane", value=None, unit="%", within=False)


def absence(**changes: Any) -> Absence:
    return msgspec.structs.replace(SEEN_TO_END, **changes)


# Each change alone keeps an alert open that would close otherwise, by the condition named beside it.
BARS: list[tuple[str, dict[str, Any]]] = [
    ("listed", {"type": "belt-wear"}),
    ("general", {"type": "methane-high"}),
    ("general", {"type": "person-on-belt"}),
    ("not-by-hand", {"source_kind": "person"}),
    ("not-by-hand", {"type": "hand-raised"}),
    ("cleared", {"episode": "lost"}),
    ("cleared", {"episode": "ongoing"}),
    ("in-view", {"absence": None}),
    ("in-view", {"absence": absence(zone_in_view=False)}),
    ("in-view", {"absence": absence(camera_moved=True)}),
    ("camera", {"camera_trouble": ("camera-blind",)}),
    ("camera", {"camera_trouble": None}),
    ("full-scans", {"absence": absence(full_scans=POLICY.full_scans - 1)}),
    ("absence", {"absence": absence(seconds=POLICY.absence_seconds - 0.1)}),
    ("absence", {"absence": absence(seconds=math.nan)}),
    ("stable", {"stable_seconds": None}),
    ("stable", {"stable_seconds": POLICY.stable_seconds - 0.1}),
    ("nobody", {"absence": absence(persons_in_zone=1)}),
    ("nobody", {"absence": absence(persons_in_zone=-1)}),
    ("readings", {"readings": None}),
    ("readings", {"readings": (OUT,)}),
    ("readings", {"readings": (*(GOOD.readings or ()), MISSING)}),
    ("confidence", {"confidence": None}),
    ("confidence", {"confidence": POLICY.minimum_confidence - 0.01}),
    ("recurrence", {"recurrences": POLICY.per_shift + 1}),
    ("recurrence", {"recurrences": None}),
    ("flood", {"alerts_lately": POLICY.flood_alerts + 1}),
    ("unshelved", {"shelved": True}),
    ("undisturbed", {"disturbances": ("chattering",)}),
    ("undisturbed", {"disturbances": None}),
    ("document", {"document_faults": ("responsible",)}),
    ("document", {"document_faults": None}),
    ("citations", {"citations": ()}),
    ("citations", {"citations": (Cited(version_id="x", retrieved=False, in_force=True),)}),
    ("citations", {"citations": (*GOOD.citations, Cited(version_id="x", retrieved=True, in_force=False))}),
    ("cap", {"closed_today": POLICY.daily_cap}),
    ("cap", {"closed_today": None}),
]


def test_closes_when_every_condition_holds_and_says_so() -> None:
    verdict = may_close(POLICY, GOOD)
    assert verdict.close
    assert {r.condition for r in verdict.reasons} == CONDITIONS.keys() - {"policy"}
    assert all(r.ok and r.figures for r in verdict.reasons)


@pytest.mark.parametrize(("condition", "change"), BARS)
def test_one_condition_that_fails_keeps_it_open_and_is_named(condition: str, change: dict[str, Any]) -> None:
    verdict = may_close(POLICY, msgspec.structs.replace(GOOD, **change))
    assert not verdict.close
    assert condition in {r.condition for r in verdict.reasons if not r.ok}


def test_every_condition_is_barred_by_some_change() -> None:
    assert {condition for condition, _ in BARS} == CONDITIONS.keys() - {"policy"}


def test_without_a_policy_nothing_closes() -> None:
    assert not may_close(None, GOOD).close


_shares = st.floats(0, 1)
_absences = st.none() | st.builds(
    Absence,
    full_scans=st.integers(-1, 10),
    seconds=st.floats(allow_nan=True, allow_infinity=True),
    zone_in_view=st.booleans(),
    camera_moved=st.booleans(),
    persons_in_zone=st.integers(-1, 2),
    reason=st.just(""),
)
_readings = st.builds(
    AreaReading,
    sensor=st.just("s"),
    quantity=st.sampled_from(["methane", "oxygen"]),
    value=st.none() | st.floats(0, 5),
    unit=st.just("%"),
    within=st.booleans(),
)
_facts = st.builds(
    ClosureFacts,
    type=st.sampled_from(sorted(RISK_TYPES)) | st.just("no-helmet") | st.text(max_size=5),
    source_kind=st.sampled_from(["camera", "camera", "sensor", "person", "oracle"]),
    episode=st.sampled_from(["cleared", "cleared", "lost", "ongoing", "?"]),
    absence=_absences | st.just(SEEN_TO_END),
    camera_trouble=st.just(()) | st.none() | st.lists(st.sampled_from(["camera-blind", "camera-moved"])).map(tuple),
    stable_seconds=st.none() | st.floats(0, 100),
    readings=st.none() | st.lists(_readings, max_size=3).map(tuple) | st.just(()),
    confidence=st.none() | _shares,
    recurrences=st.none() | st.integers(0, 6),
    alerts_lately=st.none() | st.integers(0, 50),
    shelved=st.booleans(),
    document_faults=st.just(()) | st.none() | st.just(("measures",)),
    citations=st.lists(
        st.builds(Cited, version_id=st.just("v"), retrieved=st.booleans(), in_force=st.booleans()), max_size=3
    ).map(tuple),
    closed_today=st.none() | st.integers(0, 300),
    disturbances=st.just(()) | st.none() | st.lists(st.sampled_from(["suppressed", "chattering"])).map(tuple),
)
_general = sorted(
    t.id for t in RISK_TYPES.values() if t.grade == "general" and not t.latching and "person" not in t.seen_by
)
_policies = st.builds(
    ClosurePolicy,
    types=st.lists(st.sampled_from(_general), unique=True).map(tuple),
    minimum_confidence=_shares,
    full_scans=st.integers(1, 5),
    absence_seconds=st.floats(0.1, 10),
    stable_seconds=st.floats(0, 60),
    per_shift=st.integers(0, 5),
    flood_alerts=st.integers(1, 40),
    daily_cap=st.integers(0, 300),
)


def forbidden(facts: ClosureFacts) -> bool:
    """Whatever the policy says: this must never close."""
    kind, seen = RISK_TYPES.get(facts.type), facts.absence
    return (
        kind is None
        or kind.grade == "major"
        or kind.latching
        or "person" in kind.seen_by
        or facts.source_kind not in ("camera", "sensor")
        or facts.episode != "cleared"
        or facts.camera_trouble != ()
        or seen is None
        or seen.camera_moved
        or not seen.zone_in_view
        or seen.persons_in_zone != 0
        or facts.readings is None
        or any(r.value is None or not r.within for r in facts.readings)
        or not facts.citations
        or not all(c.retrieved and c.in_force for c in facts.citations)
        or facts.document_faults != ()
        or facts.shelved
        or facts.disturbances != ()
    )


def fit(facts: ClosureFacts) -> ClosurePolicy:
    """The laxest policy, which lists the type whatever it is, as if somebody had got round the refusal to list it."""
    lax = ClosurePolicy(
        types=(), minimum_confidence=0.0, full_scans=1, absence_seconds=0.1, stable_seconds=0.0, per_shift=10**6,
        flood_alerts=10**6, daily_cap=10**6,
    )  # fmt: skip
    msgspec.structs.force_setattr(lax, "types", (facts.type,))
    return lax


NEVER: dict[str, list[dict[str, Any]]] = {
    "a major hazard": [{"type": t.id} for t in RISK_TYPES.values() if t.grade == "major" or t.latching],
    "a lost episode": [{"episode": "lost"}],
    "a blind camera": [{"camera_trouble": ("camera-blind",)}, {"absence": absence(zone_in_view=False)}],
    "a moved camera": [{"camera_trouble": ("camera-moved",)}, {"absence": absence(camera_moved=True)}],
    "a reading out of its limit": [{"readings": (OUT,)}],
    "a missing reading": [{"readings": (MISSING,)}, {"readings": None}],
    "a citation not retrieved": [{"citations": (Cited(version_id="x", retrieved=False, in_force=True),)}],
    "a hazard raised by hand": [{"source_kind": "person"}, {"type": "hand-raised"}],
}
"""What never closes, whatever else holds and whatever policy is in force."""


@given(facts=_facts, name=st.sampled_from(sorted(NEVER)), data=st.data())
@settings(deadline=None)
def test_what_never_closes_does_not_whatever_else_holds_and_however_lax_the_policy(
    facts: ClosureFacts, name: str, data: st.DataObject
) -> None:
    assert may_close(fit(GOOD), GOOD).close, "all else holds"
    bar = data.draw(st.sampled_from(NEVER[name]))
    for candidate in (GOOD, facts):
        barred = msgspec.structs.replace(candidate, **bar)
        assert not may_close(fit(barred), barred).close, name


@given(policy=_policies, facts=_facts, spoilt=st.sampled_from([c for _, c in BARS]) | st.just({}))
def test_nothing_forbidden_ever_closes(policy: ClosurePolicy, facts: ClosureFacts, spoilt: dict[str, Any]) -> None:
    for candidate in (facts, msgspec.structs.replace(GOOD, **spoilt), msgspec.structs.replace(facts, **spoilt)):
        verdict = may_close(policy, candidate)
        assert verdict.close == all(r.ok for r in verdict.reasons)
        assert not (verdict.close and forbidden(candidate))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("methane-high", "major hazard"),
        ("person-on-belt", "major hazard"),
        ("hand-raised", "people report"),
        ("no-such-type", "catalogue"),
    ],
)
def test_a_policy_that_names_what_never_closes_is_refused(name: str, said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        ClosurePolicy(types=("no-helmet", name))
    with pytest.raises(PolicyError, match=said):
        msgspec.json.decode(msgspec.json.encode({"types": [name]}), type=ClosurePolicy)


@pytest.mark.parametrize(
    "bounds",
    [{"minimum_confidence": 1.5}, {"target": 0.0}, {"full_scans": 0}, {"daily_cap": -1}, {"absence_seconds": math.inf}],
)
def test_a_bound_that_bounds_nothing_is_refused(bounds: dict[str, Any]) -> None:
    with pytest.raises(PolicyError):
        ClosurePolicy(types=("no-helmet",), **bounds)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = open_database(f"sqlite:///{tmp_path / 'minewatch.db'}")
    furnish(engine)
    return engine


def test_what_ships_starts_in_shadow_and_once(engine: Engine) -> None:
    ship_policy(engine, MINE)
    ship_policy(engine, MINE)
    with reading(engine) as session:
        row = in_force(session, MINE)
    assert row is not None
    assert (row.id, row.state, row.demo) == ("routine@1", "SHADOW", False)
    assert row.author != row.approver
    assert row.read() == SHIPPED
    assert verify(engine, MINE).lines == 2


def test_the_author_cannot_approve(engine: Engine) -> None:
    with writing(engine) as session:
        row = put_policy(session, MINE, SHIPPED, "ann")
        with pytest.raises(PolicyError, match="somebody else"):
            put_in_shadow(session, row, "ann")
        put_in_shadow(session, row, "bob")
        with pytest.raises(PolicyError, match="only a draft"):
            put_in_shadow(session, row, "carl")


def test_the_demonstrations_policy_is_active_and_marked(engine: Engine) -> None:
    ship_policy(engine, MINE)
    activate_for_demo(engine, MINE)
    with reading(engine) as session:
        row = in_force(session, MINE)
        assert in_force(session, "south") is None
    assert row is not None
    assert (row.state, row.demo) == ("ACTIVE", True)
