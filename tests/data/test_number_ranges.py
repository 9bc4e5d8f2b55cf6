"""The range of numbers in `describe`, and what is far from all others."""

import pandas as pd
import pytest

from multimodal_tf.data.describe.ranges import number_range
from multimodal_tf.data.describe.table_description import describe
from multimodal_tf.data.table import read_table


@pytest.mark.parametrize("label", ["class", "x"])
def test_describe_shows_the_range_and_what_is_far(label: str) -> None:
    cells = [f"{n / 7:,.2f}" for n in range(110)]
    cells[50] = "1,000,000.00"
    frame = pd.DataFrame({"x": cells, "class": ["a", "b"] * 55})
    types = {"class": "category"} if label == "x" else {}
    column = describe(read_table(frame), types, label=label, presets=False).columns[0]
    assert column.range is not None
    assert (column.range.min, column.range.max) == (0.0, 1_000_000.0)
    assert "1 of 110 numbers is far from the others: 1e+06" in column.why


def test_sound_columns_have_none() -> None:
    lognormal = [1.3**n for n in range(30)] * 3
    mostly_zero = [0.0] * 90 + [5.0] * 10
    two_parts = [float(n) for n in range(90)] + [1e6 + n for n in range(10)]
    for values in (lognormal, mostly_zero, two_parts, [1.0]):
        spread, far = number_range(values)
        assert spread is not None
        assert far == ""
    assert number_range([]) == (None, "")
