"""The labels that risks are decided on, and how the class names of any weights become them."""

from collections.abc import Mapping

from vision.errors import WeightsError

PERSON, HELMET, NO_HELMET, VEST, NO_VEST, VEHICLE = "person", "helmet", "no_helmet", "vest", "no_vest", "vehicle"
FIRE, SMOKE = "fire", "smoke"

PEOPLE = frozenset({PERSON, HELMET, NO_HELMET, VEST, NO_VEST})
"""What tells where somebody is in the picture."""

LABELS: frozenset[str] = frozenset(
    {PERSON, HELMET, NO_HELMET, VEST, NO_VEST, VEHICLE, FIRE, SMOKE}
    | {"hole", "impact", "puncture", "tear", "wear"}
    | {"missing_guard", "foreign_object", "coal_pile", "standing_water"}
)

COCO_MAP = {"person": PERSON, "car": VEHICLE, "bus": VEHICLE, "truck": VEHICLE}
_COCO_ONLY = {"traffic light", "fire hydrant", "stop sign", "teddy bear", "hair drier", "toothbrush"}
"""Names that stand together in no other set of classes that we know: they tell COCO's list of 80."""


def sees_people(labels: frozenset[str]) -> bool:
    """Whether detectors with these labels look for everybody: for persons, or for heads with and without a helmet."""
    return PERSON in labels or {HELMET, NO_HELMET} <= labels


def map_classes(weights: str, names: Mapping[int, str], class_map: Mapping[str, str]) -> dict[int, str]:
    """Class ids of the weights -> our labels; classes left out on purpose are missing.

    A class is taken by ``class_map`` first, then by its own name where that is a label (``no_helmet``, also written
    ``No-Helmet``). COCO's 80 classes are mapped without being told.
    Raises WeightsError for a class that none of these knows, or a label that does not exist.
    """
    if strange := sorted({label for label in class_map.values() if label and label not in LABELS}):
        raise WeightsError(
            f"The class map of {weights} leads to {', '.join(strange)}: Minewatch knows the labels {', '.join(sorted(LABELS))}."
        )
    if missing := sorted(set(class_map) - set(names.values())):
        raise WeightsError(
            f"The class map of {weights} names {', '.join(missing)}, which the weights do not have: "
            f"their classes are {', '.join(names.values())}."
        )
    coco = len(names) == 80 and set(names.values()) >= _COCO_ONLY
    known = {**(COCO_MAP if coco else {}), **class_map}
    labels: dict[int, str] = {}
    unknown: list[str] = []
    for index, name in names.items():
        plain = name.strip().lower().replace("-", "_").replace(" ", "_")
        label = known.get(name, "" if coco else plain)
        if label in LABELS:
            labels[index] = label
        elif label:
            unknown.append(name)
    if unknown:
        raise WeightsError(
            f"The weights {weights} have classes that Minewatch does not know: {', '.join(unknown)}. "
            "Say in the detector's class_map what each of them means, or map it to '' to leave it out."
        )
    if not labels:
        raise WeightsError(f"The weights {weights} have no class that Minewatch uses: map at least one of them.")
    return labels
