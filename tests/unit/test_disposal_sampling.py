from pathlib import Path

import pytest
from sqlalchemy import Engine

from disposal.alert import Alert
from disposal.document import Document
from disposal.errors import PolicyError
from disposal.policy import SHIPPED, activate_for_demo, in_force
from disposal.sampling import Tally, exceeds, require_proven, review, sampled, sampling_share, tally, upper_bound
from stream.database import open_database, reading, writing
from stream.messages import utc_now
from tests.unit.disposal_world import MINE, furnish


@pytest.mark.parametrize(
    ("wrong", "judged", "bound"),
    [(0, 300, 0.009936), (0, 10, 0.258866), (1, 10, 0.394163), (3, 300, 0.025678), (10, 10, 1.0), (0, 0, 1.0)],
)
def test_the_bound_is_the_one_in_the_tables(wrong: int, judged: int, bound: float) -> None:
    # 0 of n: 1 - 0.05 ** (1 / n); the others from the binomial distribution itself, below.
    assert upper_bound(wrong, judged) == pytest.approx(bound, abs=5e-4)


@pytest.mark.parametrize(("wrong", "judged"), [(1, 20), (3, 300), (7, 90)])
def test_at_the_bound_so_few_wrong_ones_have_a_chance_of_one_in_twenty(wrong: int, judged: int) -> None:
    from math import comb

    share = upper_bound(wrong, judged)
    chance = sum(comb(judged, k) * share**k * (1 - share) ** (judged - k) for k in range(wrong + 1))
    assert chance == pytest.approx(0.05, abs=1e-6)


def test_the_sample_is_the_same_every_time_and_has_its_share() -> None:
    names = [f"document-{n}" for n in range(4000)]
    chosen = [n for n in names if sampled(n, 0.2)]
    assert chosen == [n for n in names if sampled(n, 0.2)]
    assert 0.17 < len(chosen) / len(names) < 0.23
    assert not any(sampled(n, 0.0) for n in names)
    assert all(sampled(n, 1.0) for n in names)


def test_a_policy_is_proven_below_its_target_with_room_for_two_more() -> None:
    require_proven(Tally(628, 0), 0.01)
    require_proven(Tally(300, 0), 0.05)
    for found, target in ((Tally(627, 0), 0.01), (Tally(628, 1), 0.01), (Tally(299, 0), 0.05)):
        with pytest.raises(PolicyError, match="not proven"):
            require_proven(found, target)


@pytest.mark.parametrize(
    ("found", "share"),
    [
        (Tally(0, 0), SHIPPED.sample),
        (Tally(628, 0), SHIPPED.sample),
        (Tally(900, 1), SHIPPED.sample),
        (Tally(700, 1), 0.5),
        (Tally(700, 2), 1.0),
        (Tally(900, 4), 1.0),
    ],
)
def test_the_nearer_a_policy_is_to_suspension_the_more_is_checked(found: Tally, share: float) -> None:
    assert sampling_share(found, SHIPPED) == share


def test_few_judgements_without_a_wrong_one_suspend_nothing() -> None:
    assert not exceeds(Tally(5, 0), 0.01)
    assert exceeds(Tally(5, 1), 0.01)
    assert not exceeds(Tally(2000, 2), 0.01)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    engine = open_database(f"sqlite:///{tmp_path / 'minewatch.db'}")
    furnish(engine)
    activate_for_demo(engine, MINE)
    return engine


def judged(engine: Engine, decision: str, number: int, *, shadow: bool = False) -> None:
    """A closure that somebody judged; in ``shadow`` one that would have been, judged without being told."""
    now = utc_now()
    name = f"{decision}{number}"
    with writing(engine) as session:
        session.add(
            Alert(
                id=name, mine=MINE, fingerprint="f", type="no-helmet", grade="general", priority="medium", place="roadway",
                source="cam-1", source_kind="camera", closed=True, raised_at=now, committed_at=now, updated_at=now,
            )
        )  # fmt: skip
        session.flush()
        session.add(
            Document(
                id=f"{name}-1", alert_id=name, mine=MINE, version=1, policy="demo@1", would_close=True, decision=decision,
                decided_by="ann", auto_closed_at=None if shadow else now, created_at=now,
            )
        )  # fmt: skip


def test_what_was_judged_blind_in_shadow_and_what_was_sampled_count_together(engine: Engine) -> None:
    for number, decision in enumerate(("close", "reject", "close", "approve", "return")):
        judged(engine, decision, number, shadow=True)
    for number, decision in enumerate(("uphold", "uphold", "overturn", "reopen", "auto-close"), 10):
        judged(engine, decision, number)
    with reading(engine) as session:
        assert tally(session, MINE, "demo@1") == Tally(5 + 4, 2 + 2), "what no person has judged yet counts nothing"
        assert tally(session, "south", "demo@1") == Tally(0, 0)
    assert SHIPPED.target == 0.01


def test_a_policy_found_wrong_too_often_suspends_itself(engine: Engine) -> None:
    for number in range(5):
        judged(engine, "uphold", number)
    with writing(engine) as session:
        assert review(session, MINE, "demo@1") == Tally(5, 0)
        assert in_force(session, MINE) is not None
    judged(engine, "overturn", 0)
    with writing(engine) as session:
        assert review(session, MINE, "demo@1") == Tally(6, 1)
    with reading(engine) as session:
        assert in_force(session, MINE) is None
        assert tally(session, MINE, "demo@2") == Tally(0, 0), "another version has its own count"
