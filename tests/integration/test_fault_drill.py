"""A few of the faults of `make test-faults`, all at once in a running house: each named within a minute, all mended."""

from pathlib import Path

import pytest

from tests.faults import kinds
from tests.faults.drill import NAMED_SECONDS, Outcome, drill, summary
from tests.faults.house import RunningHouse
from tests.servers.server import ServerUnavailableError

FAULTS = (
    kinds.camera(1, "refusing", "camera refuses the password", "camera-offline", "refuses the user name and password"),
    kinds.sensor("co", "NaN", "sensor gives no number", "no number"),
)


@pytest.mark.slow
def test_faults_in_a_running_house_are_named_and_mended(tmp_path: Path) -> None:
    try:
        with RunningHouse(tmp_path / "house", cameras=1) as house:
            outcomes = drill(house, FAULTS)
            said = house.said.read_text()
    except ServerUnavailableError as error:
        pytest.skip(str(error))
    assert {o.kind for o in outcomes if o.seconds is None or o.seconds > NAMED_SECONDS} == set()
    assert all(o.well_after is not None for o in outcomes)
    assert "hunter2" not in said + "".join(o.words for o in outcomes)


def test_what_came_late_or_never_does_not_count() -> None:
    found = summary(
        [
            Outcome("one", "camera", 5.0, "alert", "", 1.0),
            Outcome("two", "camera", 20.0, "doctor", "", 1.0),
            Outcome("late", "log", NAMED_SECONDS + 1, "doctor", "", 1.0),
            Outcome("never", "log"),
        ]
    )
    assert (found["fault_coverage"], found["locate_s"], found["locate_s_longest"]) == (0.5, 20.0, 20.0)
    assert found["mended_by_themselves"] == 3


def test_at_least_twenty_kinds_of_nine_areas_are_drilled() -> None:
    waves = [value for name, value in vars(kinds).items() if name.isupper() and isinstance(value, tuple) and value]
    faults = [fault for wave in waves for fault in wave if isinstance(fault, kinds.Fault)]
    assert len({fault.name for fault in faults}) == len(faults) >= 20
    areas = {"camera", "sensor", "broker", "database", "disk", "clock", "detector", "model endpoint", "evidence"}
    assert areas <= {fault.area for fault in faults}
