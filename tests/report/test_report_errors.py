"""The section on errors, for a hand-made model with known predictions."""

import dataclasses
import io

import numpy as np
import pandas as pd
import pytest
import soundfile
from hand_made_split import CLASSES, HEADS, blocks, eval_split, notes, saved
from sklearn.metrics import confusion_matrix

from multimodal_tf.report.model.errors import errors_section
from multimodal_tf.report.page import AudioClip, Examples, HeatMap, Image, Table
from multimodal_tf.schema import Classes


def test_the_confusion_matrix_counts_rows():
    whole = eval_split()
    section = errors_section(whole, resamples=0, seed=0)
    (heat,) = blocks(section, HeatMap)
    np.testing.assert_array_equal(
        heat.values, confusion_matrix(whole.labels, whole.predictions["label"].argmax(axis=1))
    )
    (frequent,) = blocks(section, Table, "Most frequent confusions")
    assert {(row[0], row[1], row[2]) for row in frequent.rows} == {
        (CLASSES[i], CLASSES[(i + 1) % 3], 2) for i in range(3)
    }
    assert frequent.rows[0][3].value == pytest.approx(2 / 15)


def test_rows_with_the_highest_loss_are_wrong_and_show_image_and_audio(tmp_path):
    section = errors_section(eval_split(), resamples=0, seed=0)
    (worst,) = blocks(section, Examples)
    assert {example.name for example in worst.examples[:6]} == {
        f"row {number}" for number in range(100, 106)
    }
    assert all(example.truth != example.predicted for example in worst.examples[:6])
    one = next(example for example in worst.examples if example.name == "row 101")
    assert isinstance(one.cells["photo"], Image)
    assert isinstance(one.cells["sound"], AudioClip)
    assert soundfile.info(io.BytesIO(one.cells["sound"].data)).channels == 2
    assert (
        next(example for example in worst.examples if example.name == "row 100").cells["sound"]
        is None
    )
    html = saved(section, tmp_path)
    assert "<audio" in html
    assert "<b>cat</b>" not in html


def test_a_planted_slice_is_found_among_the_columns_of_the_table():
    rows = 90
    random = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "camera": np.where(np.arange(rows) < 15, "old", "new"),
            "shop": random.integers(3, size=rows),
        }
    )
    table["label"] = "x"
    table["path"] = [f"{number}.png" for number in range(rows)]
    table["boxes"] = [[1, 2]] * rows
    table["taken"] = pd.date_range("2024-01-01", periods=rows)
    section = errors_section(eval_split(rows=rows, wrong=14, table=table), resamples=0, seed=0)
    (slices,) = blocks(section, Table, "Slices")
    assert {row[0] for row in slices.rows} == {"camera", "shop", "taken", "presence of sound"}
    assert (
        "Accuracy is lower where camera = old" in section.sentences[-1]
        or "taken" in section.sentences[-1]
    )
    old = next(row for row in slices.rows if row[:2] == ["camera", "old"])
    assert old[2].value == pytest.approx(1 / 15)
    assert old[2].low < 1 / 15 < old[2].high
    assert old[-1] < 1e-6


def test_columns_that_cannot_be_sliced_are_left_out():
    number = np.arange(45)
    table = pd.DataFrame(
        {"shop": np.where(number % 2, "a", "b"), "ratio": np.where(number % 7, number, np.inf)}
    )
    table["sets"], table["nested"] = [{1}] * 45, [(1, [2])] * 45
    (slices,) = blocks(
        errors_section(eval_split(table=table), resamples=0, seed=0), Table, "Slices"
    )
    assert {row[0] for row in slices.rows} <= {"shop", "presence of sound"}


@pytest.mark.parametrize("wrong", [0, 1])
def test_no_or_one_wrong_row(wrong):
    section = errors_section(eval_split(wrong=wrong), resamples=0, seed=0)
    assert len(blocks(section, Table, "Most frequent confusions")) == wrong
    expected = (
        "No errors in 45 rows.",
        "The most frequent confusion: bird is predicted as <b>cat</b>, in 1 of 1 errors.",
    )
    assert section.sentences == (expected[wrong],)


def test_missing_and_broken_cells_of_examples_are_none():
    whole = eval_split()
    whole.raw["photo"][1], whole.present[1, 0] = b"no picture", False
    (worst,) = blocks(errors_section(whole, resamples=0, seed=0), Examples)
    cells = {example.name: example.cells for example in worst.examples}
    assert cells["row 101"]["photo"] is None
    assert cells["row 100"]["sound"] is None
    assert cells["row 101"]["title"] == "a bark of 1"


def test_rows_of_a_group_widen_the_intervals():
    alone, grouped = (
        blocks(
            errors_section(eval_split(groups=groups), resamples=0, seed=0),
            Table,
            "Most frequent confusions",
        )[0].rows[0][3]
        for groups in (None, np.arange(45) // 9)
    )
    assert (alone.value, alone.n) == (grouped.value, grouped.n)
    assert grouped.high - grouped.low > alone.high - alone.low


@pytest.mark.parametrize(
    "head", [None, *HEADS], ids=lambda head: "classification" if head is None else head.type
)
@pytest.mark.parametrize("labelled", [0, 1])
def test_errors_need_two_rows_with_a_label(head, labelled):
    section = errors_section(
        dataclasses.replace(eval_split(head=head), known=np.arange(45) < labelled),
        resamples=0,
        seed=0,
    )
    assert notes(section) == f"Errors need two rows with a label, received {labelled}."


def test_of_many_classes_those_with_most_errors_are_shown():
    whole = eval_split()
    names = [f"class {number}" for number in range(60)]
    predictions = np.concatenate([whole.predictions["label"], np.zeros((45, 57))], axis=1)
    schema = whole.schema.model_copy(
        update={"heads": {"label": Classes(names=names, counts=[1] * 60)}}
    )
    section = errors_section(
        dataclasses.replace(whole, schema=schema, predictions={"label": predictions}), 0, 0
    )
    (heat,) = blocks(section, HeatMap)
    assert "30 of 60 classes" in heat.title
    assert heat.rows[:3] == names[:3]
    assert np.sum(heat.values) == 45


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.type)
def test_other_heads_have_rows_with_the_highest_loss(head, tmp_path):
    section = errors_section(eval_split(head=head), resamples=0, seed=0)
    assert "does not choose one class" in notes(section)
    assert len(blocks(section, Examples)[0].examples) == 8
    assert "row 10" in saved(section, tmp_path)
