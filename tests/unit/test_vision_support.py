"""What one frame says about each risk."""

import pytest

from console.translations import text
from stream.catalogue import RISK_TYPES, Purpose
from stream.messages import Detection
from stream.site import Zone
from vision.labels import LABELS
from vision.support import Key, Support, evaluate, near_vehicles, seen_types, unseen_types, watched_keys
from vision.zones import ZoneMap

WHOLE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
PERSON = Detection(label="person", confidence=0.8, box=(0.4, 0.3, 0.5, 0.9))
HELMET = Detection(label="helmet", confidence=0.7, box=(0.43, 0.3, 0.47, 0.36))
BARE = Detection(label="no_helmet", confidence=0.6, box=(0.43, 0.3, 0.47, 0.36))
VEST = Detection(label="vest", confidence=0.6, box=(0.41, 0.4, 0.49, 0.6))
NO_VEST = Detection(label="no_vest", confidence=0.6, box=(0.41, 0.4, 0.49, 0.6))


def zone(purpose: Purpose) -> ZoneMap:
    return ZoneMap(Zone(id=purpose, camera="c", purpose=purpose, polygon=WHOLE))


@pytest.mark.parametrize(
    ("purpose", "detections", "supported"),
    [
        ("helmet-required", [PERSON, BARE], {"no-helmet"}),
        ("helmet-required", [PERSON, HELMET], set()),
        ("vest-required", [PERSON, NO_VEST], {"no-vest"}),
        ("vest-required", [PERSON, VEST], set()),
        ("restricted", [PERSON], {"person-in-restricted-zone"}),
        ("restricted", [HELMET], {"person-in-restricted-zone"}),
        ("watched", [PERSON], {"person-present"}),
        ("conveyor", [PERSON], {"person-on-belt"}),
        ("haulage-track", [BARE], {"person-on-track"}),
        ("belt-edge", [PERSON, BARE], set()),
        ("restricted", [], set()),
    ],
)
def test_a_zones_purpose_says_what_is_a_risk_in_it(
    purpose: Purpose, detections: list[Detection], supported: set[str]
) -> None:
    supports = evaluate([zone(purpose)], detections).supports
    assert set(supports) == {Key(t, purpose) for t in supported}


def test_a_person_on_the_track_is_a_risk_also_where_the_haulage_may_stand_still() -> None:
    """Nothing tells Minewatch whether it runs, so it counts as running; the catalogue and the zone's purpose say so."""
    assert "runs at all times" in RISK_TYPES["person-on-track"].assumes
    assert text("en", "purpose.haulage-track") == "Haulage track (always taken as running)"
    assert "运行" in text("zh", "purpose.haulage-track")
    assert Key("person-on-track", "haulage-track") in evaluate([zone("haulage-track")], [PERSON]).supports


def standing(*confidences: float) -> list[Detection]:
    return [
        Detection(label="person", confidence=c, box=(0.1 + 0.2 * i, 0.3, 0.2 + 0.2 * i, 0.9))
        for i, c in enumerate(confidences)
    ]


@pytest.mark.parametrize(("confidences", "supported"), [((), None), ((0.8,), 0.8), ((0.8, 0.5), None)])
def test_nobody_works_alone_where_two_must_be(confidences: tuple[float, ...], supported: float | None) -> None:
    supports = evaluate([zone("no-lone-work")], standing(*confidences)).supports
    found = supports.get(Key("person-alone", "no-lone-work"))
    assert (found.confidence if found else None) == supported


@pytest.mark.parametrize(
    ("confidences", "supported"),
    [((), None), ((0.9, 0.8), None), ((0.9, 0.5, 0.8), 0.5), ((0.9, 0.5, 0.8, 0.7), 0.7)],
)
def test_a_limited_place_is_crowded_as_surely_as_the_first_one_too_many(
    confidences: tuple[float, ...], supported: float | None
) -> None:
    limited = Zone(id="limited", camera="c", purpose="occupancy-limit", polygon=WHOLE, most_persons=2)
    found = evaluate([ZoneMap(limited)], standing(*confidences)).supports.get(Key("crowding", "limited"))
    assert (found.confidence if found else None) == supported
    assert found is None or len(found.detections) == len(confidences)


@pytest.mark.parametrize("most", [None, 0, -1])
def test_a_limited_place_says_how_many_may_be_in_it(most: int | None) -> None:
    with pytest.raises(ValueError, match="most_persons"):
        Zone(id="limited", camera="c", purpose="occupancy-limit", polygon=WHOLE, most_persons=most)


def test_no_other_place_has_a_number_of_persons() -> None:
    with pytest.raises(ValueError, match="most_persons"):
        Zone(id="limited", camera="c", purpose="watched", polygon=WHOLE, most_persons=3)


@pytest.mark.parametrize(
    ("label", "risk_type"),
    [
        ("fire", "fire"),
        ("smoke", "smoke"),
        ("hole", "belt-hole"),
        ("impact", "belt-impact"),
        ("puncture", "belt-puncture"),
        ("tear", "belt-tear"),
        ("wear", "belt-wear"),
        ("missing_guard", "missing-guard"),
        ("foreign_object", "foreign-object"),
        ("coal_pile", "coal-pile-up"),
        ("standing_water", "standing-water"),
    ],
)
def test_some_hazards_need_no_zone(label: str, risk_type: str) -> None:
    surer = Detection(label=label, confidence=0.9, box=(0.1, 0.1, 0.3, 0.3))
    other = Detection(label=label, confidence=0.5, box=(0.5, 0.1, 0.8, 0.3))
    supports = evaluate([], [other, surer]).supports
    assert list(supports) == [Key(risk_type, None)]
    assert supports[Key(risk_type, None)] == Support(0.9, (other, surer))


@pytest.mark.parametrize(
    ("purpose", "detections", "uncertain"),
    [
        ("helmet-required", [PERSON], True),
        ("helmet-required", [PERSON, HELMET], False),
        ("helmet-required", [], False),
        ("helmet-required", [HELMET], False),
        ("vest-required", [PERSON], True),
        ("vest-required", [PERSON, VEST], False),
    ],
)
def test_a_person_whose_head_is_not_seen_does_not_show_a_helmet(
    purpose: Purpose, detections: list[Detection], uncertain: bool
) -> None:
    assert bool(evaluate([zone(purpose)], detections).uncertain) is uncertain


def test_persons_are_counted_by_zone_and_in_the_whole_picture() -> None:
    left = ZoneMap(Zone(id="left", camera="c", purpose="watched", polygon=((0, 0), (0.3, 0), (0.3, 1), (0, 1))))
    assert evaluate([left, zone("restricted")], [PERSON, BARE]).persons == {None: 1, "left": 0, "restricted": 1}


@pytest.mark.parametrize(
    ("person", "near"),
    [
        ((0.52, 0.3, 0.6, 0.8), True),
        ((0.85, 0.3, 0.95, 0.8), False),
        ((0.2, 0.35, 0.25, 0.5), False),  # the driver
        ((0.2, 0.4, 0.3, 0.9), True),  # in front of it
    ],
)
def test_a_person_beside_a_vehicle_is_near_it_but_its_driver_is_not(
    person: tuple[float, float, float, float], near: bool
) -> None:
    vehicle = Detection(label="vehicle", confidence=0.9, box=(0.1, 0.3, 0.5, 0.8))
    walker = Detection(label="person", confidence=0.7, box=person)
    assert near_vehicles([vehicle, walker]) == ([walker, vehicle] if near else [])


def test_what_is_watched_follows_from_zones_and_labels() -> None:
    zones = [zone("helmet-required"), zone("restricted")]
    assert watched_keys(zones, frozenset({"person"})) == {Key("person-in-restricted-zone", "restricted")}
    assert watched_keys(zones, frozenset({"no_helmet", "fire"})) == {
        Key("no-helmet", "helmet-required"),
        Key("person-in-restricted-zone", "restricted"),
        Key("fire", None),
    }
    assert Key("vehicle-near-person", None) not in watched_keys([], frozenset({"vehicle"}))


def test_the_catalogue_holds_what_a_mine_watches_for() -> None:
    damage = {"belt-hole", "belt-impact", "belt-puncture", "belt-tear", "belt-wear"}
    persons = {"no-helmet", "no-vest", "person-in-restricted-zone", "person-on-belt", "person-on-track"}
    groups = {"person-alone", "crowding", "vehicle-near-person"}
    surroundings = {"missing-guard", "fire", "smoke", "foreign-object", "belt-deviation", "coal-pile-up"}
    cameras = {"camera-blind", "camera-moved", "camera-frozen", "camera-offline", "standing-water"}
    assert damage | persons | groups | surroundings | cameras <= set(RISK_TYPES)
    for kind in RISK_TYPES.values():
        assert kind.seen_by, f"{kind.id} does not say who can see it"
        assert kind.zh
        assert kind.en


def test_types_that_no_detector_sees_are_named() -> None:
    unseen = {t.id for t in unseen_types(frozenset({"person", "helmet", "no_helmet"}))}
    assert {"fire", "no-vest", "belt-tear"} <= unseen
    assert not unseen & {"no-helmet", "person-on-belt", "camera-blind", "methane-high", "camera-offline", "hand-raised"}


def test_every_type_for_detectors_can_be_seen_by_some_label_or_says_that_it_cannot() -> None:
    left = {t.id for t in unseen_types(LABELS)}
    assert left == set()
    assert seen_types(LABELS) <= set(RISK_TYPES)
