"""Numbers as people write them: one format for a column, found or given, the same everywhere."""

import math

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multimodal_tf.config import Config, CountHead, NumberInput, QuantileHead, RegressionHead
from multimodal_tf.config.number_format import NumberFormat
from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.describe.table_description import describe
from multimodal_tf.data.kinds import read_cell
from multimodal_tf.data.kinds.label import read_label
from multimodal_tf.data.table import read_table

SIGNS = [(".", None), (",", None), (".", ","), (",", "."), (".", " "), (",", " "), (".", "'")]
UNITS = [None, "$", "%", "€", "kg", "km/h", "CHF"]


def written(number: float, form: NumberFormat, before: bool, space: str) -> str:
    text = f"{abs(number):,.2f}".replace(",", "T").replace(".", form.decimal)
    text = text.replace("T", form.thousands or "")
    if form.unit is not None:
        text = f"{form.unit}{space}{text}" if before else f"{text}{space}{form.unit}"
    return f"-{text}" if number < 0 else text


@settings(deadline=None)
@given(
    st.floats(-1e9, 1e9),
    st.sampled_from(SIGNS),
    st.sampled_from(UNITS),
    st.booleans(),
    st.sampled_from(["", " ", "\u00a0", "\u202f"]),
)
def test_what_is_written_is_read(
    number: float, signs: tuple[str, str | None], unit: str | None, before: bool, space: str
) -> None:
    form = NumberFormat.model_validate({"decimal": signs[0], "thousands": signs[1], "unit": unit})
    text = written(number, form, before, space)
    config = NumberInput(format=form)
    wanted = round(number, 2)
    assert read_cell(text, config) == pytest.approx(wanted, abs=1e-6)
    assert read_label(text, RegressionHead(format=form)) == read_cell(text, config)
    assert read_cell(number, config) == number


@pytest.mark.parametrize(
    ("form", "text", "number"),
    [
        ({}, "\u22127.5", -7.5),
        ({"thousands": ","}, "12,34,567", 1234567.0),
        ({"thousands": " ", "decimal": ","}, "1\u202f234,5", 1234.5),
        ({"thousands": "'"}, "1\u2019234.50", 1234.5),
        ({"unit": "$"}, "-$12.50", -12.5),
        ({"unit": "$"}, "$ -12.50", -12.5),
        ({"unit": "$"}, "12.50", 12.5),
        ({"decimal": ","}, ",5", 0.5),
        ({"decimal": ","}, "1,5e3", 1500.0),
        ({"unit": "%"}, "nan", None),
    ],
)
def test_forms(form: dict[str, str], text: str, number: float | None) -> None:
    assert read_cell(text, NumberInput.model_validate({"format": form})) == number


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ({}, "12,500"),
        ({"thousands": ","}, "12,50"),
        ({"thousands": ","}, "0,500"),
        ({"decimal": ","}, "12.5"),
        ({"unit": "kg"}, "12 g"),
        ({"unit": "$"}, "$"),
        ({"unit": "$"}, "-$-5"),
        ({"unit": "$"}, "$5$6"),
    ],
)
def test_other_texts_are_broken(form: dict[str, str], text: str) -> None:
    with pytest.raises(CellError, match="not a number"):
        read_cell(text, NumberInput.model_validate({"format": form}))


def test_formats_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="decimal and thousands must be two signs, received ','"):
        NumberFormat(decimal=",", thousands=",")
    with pytest.raises(ValueError, match="a unit must not begin with a digit .* received '5 x'"):
        NumberFormat(unit="5 x")


COLUMNS = {
    "thousands": ([f"{n * 137:,}" for n in range(2, 60)], {"thousands": ","}),
    "dollars": ([f"${n * 7.25:,.2f}" for n in range(50)], {"unit": "$"}),
    "percent": ([f"{n / 7:.1f} %" for n in range(50)], {"unit": "%"}),
    "spaces": (
        [f"{n * 977.5:,.1f}".replace(",", "\u00a0").replace(".", ",") for n in range(50)],
        {"decimal": ",", "thousands": " "},
    ),
    "points": (
        [f"{n * 977.5:,.1f}".translate(str.maketrans(",.", ".,")) for n in range(50)],
        {"decimal": ",", "thousands": "."},
    ),
    "commas": ([f"{n / 7:.2f}".replace(".", ",") for n in range(50)], {"decimal": ","}),
    "swiss": ([f"{n * 977.5:,.1f}".replace(",", "'") for n in range(50)], {"thousands": "'"}),
    "sizes": ([f"{n}GB" for n in range(50)], {"unit": "GB"}),
}


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("role", ["input", "label"])
def test_describe_finds_the_format(name: str, role: str) -> None:
    texts, form = COLUMNS[name]
    frame = pd.DataFrame({"x": texts, "y": ["a", "b"] * (len(texts) // 2)})
    described = describe(read_table(frame), label="y" if role == "input" else "x", presets=False)
    column = described.columns[0]
    config = described.config()
    found = config.inputs["x"] if role == "input" else config.heads["x"]
    assert column.type == ("number" if role == "input" else "regression")
    assert column.rejected == 0
    assert "written as" in column.why
    assert isinstance(found, NumberInput | RegressionHead)
    assert found.format == NumberFormat.model_validate(form)
    assert Config.from_yaml(config.to_yaml()) == config


def described_alone(texts: list[str], **columns: list[str]) -> tuple[str, str]:
    frame = pd.DataFrame({"x": texts, "label": ["a", "b"] * (len(texts) // 2), **columns})
    column = describe(read_table(frame), presets=False).columns[0]
    return column.type, column.why


def test_what_may_be_two_numbers_is_said_and_not_guessed() -> None:
    kind, why = described_alone([f"{n},{n * 7 % 900 + 100}" for n in range(1, 51)] * 2)
    assert kind != "number"
    assert "'1,107' may be 1107 or 1.107: give the type number and its format" in why
    kind, why = described_alone(["$5.20", "€6.10", "£7.30", "$8.45"] * 5)
    assert kind != "number"
    assert "numbers with several units" in why


def test_another_column_settles_the_sign_of_fractions() -> None:
    texts = [f"{n},{n * 7 % 900 + 100}" for n in range(1, 51)] * 2
    kind, why = described_alone(texts, other=[f"{n / 8:.2f}" for n in range(100)])
    assert (kind, "read as 1107" in why) == ("number", True)
    kind, why = described_alone(texts, other=[f"{n / 8:.2f}".replace(".", ",") for n in range(100)])
    assert (kind, "read as 1.107" in why) == ("number", True)
    # in a table of decimal commas
    points = [text.replace(",", ".") for text in texts]
    kind, why = described_alone(
        points, other=[f"{n / 8:.2f}".replace(".", ",") for n in range(100)]
    )
    assert (kind, "read as 1107" in why) == ("number", True)


@pytest.mark.parametrize(
    "texts",
    [
        ["A1", "B2", "C3", "D4"] * 5,
        ["2D", "3D"] * 10,
        ["007 kg", "008 kg", "012 kg", "100 kg"] * 5,
        ["12 Main Street", "7 High Street"] * 10,
        ["10.0.0.1", "10.0.0.2", "192.168.1.7", "10.1.2.3"] * 5,
        ["2024-05-17", "2023-01-02"] * 10,
    ],
)
def test_other_columns_are_no_numbers(texts: list[str]) -> None:
    assert described_alone(texts)[0] not in ("number", "regression")


def test_lists_of_numbers_stay_labels() -> None:
    texts = ["1,2", "2,3", "1,3", "3", "2", "1,2,3", "4,5", "1"] * 5
    frame = pd.DataFrame({"x": [f"a{n}" for n in range(40)], "tags": texts})
    for several in (texts, [text for text in texts if text.count(",") < 2] + ["2,4"] * 5):
        frame["tags"] = several
        assert describe(read_table(frame), label="tags", presets=False).columns[1].type == (
            "multi_label"
        )


def test_all_heads_of_numbers_read_them() -> None:
    form = NumberFormat(thousands=",", unit="$")
    for head in (RegressionHead(format=form), CountHead(format=form), QuantileHead(format=form)):
        assert read_label("$1,250", head) == 1250.0
    assert math.isclose(read_cell("$1,250.5", NumberInput(format=form)), 1250.5)  # type: ignore[arg-type]


def test_nearly_every_class_has_one_row() -> None:
    texts = [f"v{n}x" for n in range(38)] + ["twice", "twice"]
    frame = pd.DataFrame({"x": ["a", "b"] * 20, "label": texts})
    why = describe(read_table(frame), presets=False).columns[1].why
    assert "nearly every class has one row (38 of 39)" in why
