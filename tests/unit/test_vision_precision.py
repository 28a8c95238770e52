"""Which precision weights are exported in, by what it costs."""

import math

import pytest

from vision.precision import Precision, choose


@pytest.mark.parametrize(
    ("int8", "fp16", "precision"),
    [
        (0.80, 0.80, "int8"),
        (0.81, 0.80, "int8"),
        (0.795, 0.80, "int8"),
        (0.7949, 0.80, "fp16"),
        (0.452, 0.463, "fp16"),
        (0.751, 0.752, "int8"),
        (0.0, 0.004, "int8"),
        (0.0, 0.0, "fp16"),
        (math.nan, 0.8, "fp16"),
        (0.8, math.nan, "fp16"),
    ],
)
def test_eight_bits_may_cost_half_a_point_of_map50(int8: float, fp16: float, precision: Precision) -> None:
    choice = choose(int8, fp16)
    assert choice.precision == precision
    assert choice.map50["int8"] is int8
    assert f"{fp16:.4f}" in choice.reason
