"""What one frame says about each risk: which types in which zones its detections support, and which it leaves open."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from stream.catalogue import RISK_TYPES, Purpose, RiskType
from stream.messages import Detection
from vision.labels import FIRE, HELMET, NO_HELMET, NO_VEST, PERSON, SMOKE, VEHICLE, VEST
from vision.zones import ASPECT, ZoneMap, body_of, heads_in, persons, persons_in


class Key(NamedTuple):
    """A risk type in a zone of one camera; no zone: the whole picture."""

    type: str
    zone: str | None


class Support(NamedTuple):
    """That one frame shows a risk: how surely, by which boxes.

    ``vanishable``: somebody stands so far inside that to be out of sight in the next frames is no leaving.
    """

    confidence: float
    detections: tuple[Detection, ...] = ()
    vanishable: bool = False


class Evaluation(NamedTuple):
    """What one analysed frame says: supported keys, keys on which it says nothing either way, persons by zone."""

    supports: Mapping[Key, Support]
    uncertain: frozenset[Key]
    persons: Mapping[str | None, int]


CLOSE = 0.5
"""A vehicle is near a person when the gap between their boxes is below this share of the person's height.

About 0.9 m for a person of 1.8 m at the person's own distance; a single camera cannot measure more than that."""

_WHOLE_PICTURE: dict[str, str] = {
    "fire": FIRE,
    "smoke": SMOKE,
    "belt-hole": "hole",
    "belt-impact": "impact",
    "belt-puncture": "puncture",
    "belt-tear": "tear",
    "belt-wear": "wear",
    "missing-guard": "missing_guard",
    "foreign-object": "foreign_object",
    "coal-pile-up": "coal_pile",
    "standing-water": "standing_water",
}

_PERSONS: dict[Purpose, str] = {
    "restricted": "person-in-restricted-zone",
    "watched": "person-present",
    "conveyor": "person-on-belt",
    "haulage-track": "person-on-track",
}

_COUNTED: dict[Purpose, str] = {"no-lone-work": "person-alone", "occupancy-limit": "crowding"}

_EQUIPMENT: dict[Purpose, tuple[str, str, str]] = {
    "helmet-required": ("no-helmet", NO_HELMET, HELMET),
    "vest-required": ("no-vest", NO_VEST, VEST),
}

_NEEDS: dict[str, tuple[frozenset[str], ...]] = {
    **{risk_type: (frozenset({label}),) for risk_type, label in _WHOLE_PICTURE.items()},
    **{risk_type: (frozenset({PERSON, HELMET, NO_HELMET}),) for risk_type in (*_PERSONS.values(), *_COUNTED.values())},
    **{risk_type: (frozenset({missing}),) for risk_type, missing, _ in _EQUIPMENT.values()},
    "vehicle-near-person": (frozenset({VEHICLE}), frozenset({PERSON})),
}
"""What a type is seen by: one label of each set is enough."""


def seen_types(labels: frozenset[str]) -> frozenset[str]:
    """The risk types that detectors with these labels can see."""
    return frozenset(t for t, needs in _NEEDS.items() if all(need & labels for need in needs))


def unseen_types(labels: frozenset[str]) -> tuple[RiskType, ...]:
    """The types meant for detectors that none with these labels can see; those are named at start, not passed over."""
    others = frozenset({"picture", "capture", "limit", "person"})
    seen = seen_types(labels)
    return tuple(t for t in RISK_TYPES.values() if not t.seen_by & others and t.id not in seen)


def watched_keys(zones: Sequence[ZoneMap], labels: frozenset[str]) -> frozenset[Key]:
    """Every risk that a camera with these zones and labels can see: absences count for these only."""
    seen = seen_types(labels)
    keys = {Key(t, None) for t in seen if not RISK_TYPES[t].purposes}
    keys |= {Key(t, z.zone.id) for z in zones for t in seen if z.zone.purpose in RISK_TYPES[t].purposes}
    return frozenset(keys)


def evaluate(zones: Sequence[ZoneMap], detections: Sequence[Detection]) -> Evaluation:
    """What the detections of one frame say about every risk of the camera's zones and of the whole picture."""
    supports: dict[Key, Support] = {}
    uncertain: set[Key] = set()
    everyone: dict[str | None, int] = {None: len(persons(detections))}
    for risk_type, label in _WHOLE_PICTURE.items():
        _add(supports, Key(risk_type, None), [d for d in detections if d.label == label])
    _add(supports, Key("vehicle-near-person", None), near_vehicles(detections))
    for zone in zones:
        inside = persons_in(zone, detections)
        everyone[zone.zone.id] = len(inside)
        vanishable = not all(zone.one_step_out(d) for d in inside)
        if zone.zone.purpose in _PERSONS:
            _add(supports, Key(_PERSONS[zone.zone.purpose], zone.zone.id), inside, vanishable=vanishable)
        if zone.zone.purpose in _COUNTED and (confidence := _wrong_number(zone, inside)):
            key = Key(_COUNTED[zone.zone.purpose], zone.zone.id)
            supports[key] = Support(confidence, inside, vanishable)
        if zone.zone.purpose in _EQUIPMENT:
            risk_type, missing, worn = _EQUIPMENT[zone.zone.purpose]
            key = Key(risk_type, zone.zone.id)
            _add(supports, key, _worn_by(zone, detections, missing))
            if key not in supports and _undecided(inside, _worn_by(zone, detections, worn)):
                uncertain.add(key)
    return Evaluation(supports, frozenset(uncertain), everyone)


def near_vehicles(detections: Sequence[Detection]) -> list[Detection]:
    """Persons that stand near a vehicle, with that vehicle; a driver, whose feet are well above its wheels, is none."""
    vehicles = [d for d in detections if d.label == VEHICLE]
    found: dict[int, Detection] = {}
    for person in (d for d in detections if d.label == PERSON):
        height = person.box[3] - person.box[1]
        for vehicle in vehicles:
            beside = person.box[3] >= vehicle.box[3] - height / 4
            if beside and _gap(person, vehicle) < CLOSE * height:
                found |= {id(person): person, id(vehicle): vehicle}
    return list(found.values())


def _worn_by(zone: ZoneMap, detections: Sequence[Detection], label: str) -> tuple[Detection, ...]:
    """Heads or torsos with that label in the zone: those that stand in it by themselves, or whose person does."""
    if label in (HELMET, NO_HELMET):
        return heads_in(zone, detections, label)
    return tuple(d for d in detections if d.label == label and zone.holds_centre(d.box))


def _wrong_number(zone: ZoneMap, inside: Sequence[Detection]) -> float:
    """How surely too few or too many persons are in the zone; 0 where their number is right.

    More than N are there as surely as the (N+1)-th surest of them is.
    """
    if zone.zone.purpose == "no-lone-work":
        return inside[0].confidence if len(inside) == 1 else 0.0
    most = zone.zone.most_persons or 0
    return sorted((d.confidence for d in inside), reverse=True)[most] if len(inside) > most else 0.0


def _undecided(inside: Sequence[Detection], worn: Sequence[Detection]) -> bool:
    """Whether somebody stands in the zone on whom the equipment was not seen: then its lack is not ruled out."""
    bodies = [d for d in inside if d.label == PERSON]
    decided = {id(body) for item in worn if (body := _wearer(item, bodies)) is not None}
    return any(id(body) not in decided for body in bodies)


def _wearer(item: Detection, bodies: Sequence[Detection]) -> Detection | None:
    if item.label in (HELMET, NO_HELMET):
        return body_of(item, bodies)
    x, y = (item.box[0] + item.box[2]) / 2, (item.box[1] + item.box[3]) / 2
    return next((b for b in bodies if b.box[0] <= x <= b.box[2] and b.box[1] <= y <= b.box[3]), None)


def _gap(one: Detection, other: Detection) -> float:
    """Distance between two boxes in shares of the picture's height; 0 where they touch."""
    across = max(one.box[0] - other.box[2], other.box[0] - one.box[2], 0.0) * ASPECT
    down = max(one.box[1] - other.box[3], other.box[1] - one.box[3], 0.0)
    return float((across**2 + down**2) ** 0.5)


def _add(supports: dict[Key, Support], key: Key, found: Sequence[Detection], *, vanishable: bool = False) -> None:
    if found:
        supports[key] = Support(max(d.confidence for d in found), tuple(found), vanishable)
