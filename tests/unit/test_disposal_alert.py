import itertools
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disposal.alert import AlertEvent as E
from disposal.alert import AlertState as S
from disposal.alert import Bits, episode_of, fingerprint, transition
from disposal.document import AUTOMATIC, EFFECTS, Decision, DocumentState
from disposal.errors import StateError
from tests.unit.disposal_world import risk

# ISA-18.2 as DESIGN draws it: (state, event) -> state of an ordinary type, state of a latching one.
DRAWN = {
    (S.NORMAL, E.RAISE): (S.UNACK, S.UNACK),
    (S.UNACK, E.ACKNOWLEDGE): (S.ACKED, S.ACKED),
    (S.UNACK, E.RETURN): (S.RTN_UNACK, S.RTN_UNACK),
    (S.RTN_UNACK, E.ACKNOWLEDGE): (S.NORMAL, S.LATCHED),
    (S.RTN_UNACK, E.RAISE): (S.UNACK, S.UNACK),
    (S.ACKED, E.RETURN): (S.NORMAL, S.LATCHED),
    (S.LATCHED, E.RAISE): (S.UNACK, S.UNACK),
    (S.LATCHED, E.RESET): (S.NORMAL, S.NORMAL),
}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(S, E)))
@pytest.mark.parametrize("latching", [False, True])
def test_every_transition_is_the_drawn_one(state: S, event: E, latching: bool) -> None:
    drawn = DRAWN.get((state, event))
    if drawn is None and event is E.RESET and state is not S.NORMAL:
        with pytest.raises(StateError):
            transition(state, event, latching=latching)
    else:
        assert transition(state, event, latching=latching) == (drawn[latching] if drawn else state)


@given(st.lists(st.sampled_from([E.RAISE, E.RETURN, E.ACKNOWLEDGE])))
def test_a_latching_alert_reaches_normal_by_reset_alone(events: list[E]) -> None:
    state = S.UNACK
    for event in events:
        state = transition(state, event, latching=True)
        assert state is not S.NORMAL


def test_active_and_acknowledged_are_two_bits() -> None:
    assert Bits(active=True, acked=False, latched=False).state is S.UNACK
    assert Bits(active=True, acked=True, latched=False).state is S.ACKED
    assert Bits(active=False, acked=False, latched=False).state is S.RTN_UNACK
    assert Bits(active=False, acked=True, latched=False).state is S.NORMAL
    assert Bits(active=False, acked=True, latched=True).state is S.LATCHED


@given(st.permutations([("a", 0, "raised"), ("a", 1, "updated"), ("a", 2, "cleared"), ("b", 0, "raised")]))
def test_the_episode_does_not_depend_on_the_order_of_arrival(events: list[tuple[str, int, str]]) -> None:
    assert episode_of(events) == "ongoing"
    assert episode_of([e for e in events if e[0] == "a"]) == "cleared"
    assert episode_of([*(e for e in events if e[0] == "a"), ("b", 1, "lost")]) == "lost"


def test_the_same_cause_has_one_fingerprint_and_reports_of_persons_never_share_one() -> None:
    assert fingerprint(risk()) == fingerprint(risk())
    assert fingerprint(risk()) != fingerprint(risk(zone="zone-2"))
    assert fingerprint(risk()) != fingerprint(risk("no-vest"))
    one, other = (risk(source="person:ann", source_kind="person", zone=None) for _ in range(2))
    assert fingerprint(one) != fingerprint(other)


def test_every_decision_stands_in_the_table_and_leads_on() -> None:
    assert set(EFFECTS) == set(get_args(Decision))
    reached = {e.target for e in EFFECTS.values()} | {AUTOMATIC.target}
    assert {DocumentState.APPROVED, DocumentState.RETURNED, DocumentState.REJECTED, DocumentState.CLOSED} <= reached
    for decision in ("return", "reject", "reopen", "overturn", "close"):
        assert EFFECTS[decision].needs_reason, decision
