"""The sections on calibration and retrieval, for a hand-made model with known predictions."""

import dataclasses
import io

import numpy as np
import pytest
from hand_made_split import HEADS, blocks, eval_split, notes
from PIL import Image

from multimodal_tf.config import MultiLabelHead
from multimodal_tf.metrics import calibration
from multimodal_tf.report.model.calibration import calibration_section
from multimodal_tf.report.model.retrieval import retrieval_section
from multimodal_tf.report.page import Lines, Metrics, Table
from multimodal_tf.schema import Classes


def test_metrics_are_those_of_the_labelled_rows():
    whole = eval_split()
    known = np.arange(45) % 7 > 0
    whole = dataclasses.replace(whole, known=known, labels=np.where(known, whole.labels, -1))
    section = calibration_section(whole, resamples=0, seed=0)
    (metrics,) = blocks(section, Metrics, "Calibration")
    expected = calibration.calibration(
        whole.labels[known], whole.predictions["label"][known], resamples=0
    ).metrics
    assert metrics.metrics["expected calibration error"].value == expected["ece"].value
    assert metrics.metrics["Brier score"].value == expected["brier"].value
    assert {metric.n for metric in metrics.metrics.values()} == {int(known.sum())}


def test_a_temperature_from_validation_rows_corrects_an_overconfident_model():
    """6 of 45 rows are wrong, with a confidence near 1 in all."""
    whole = dataclasses.replace(eval_split(sure=12.0), validation=eval_split(sure=12.0, seed=1))
    section = calibration_section(whole, resamples=100, seed=0)
    (table,) = blocks(section, Table, "With a temperature of")
    before, after = ({row[0]: row[column] for row in table.rows} for column in (1, 2))
    assert (
        after["expected calibration error"].value < 0.2 * before["expected calibration error"].value
    )
    assert after["log loss"].value < before["log loss"].value
    assert after["log loss"].low < after["log loss"].value < after["log loss"].high
    assert any(
        sentence.startswith("The model is overconfident: mean confidence is ")
        for sentence in section.sentences
    )


def test_risk_by_coverage_has_intervals_and_ends_with_the_error_rate():
    section = calibration_section(eval_split(), resamples=0, seed=0)
    (lines,) = blocks(section, Lines, "Error rate by coverage")
    last = lines.lines[0].metrics[-1]
    assert (last.value, last.n) == (pytest.approx(6 / 45), 45)
    assert all(metric.low <= metric.value <= metric.high for metric in lines.lines[0].metrics)
    # Clopper and Pearson of 6 in 45
    assert last.high == pytest.approx(0.2679, abs=1e-3)


def test_reliability_diagrams_show_the_diagonal():
    section = calibration_section(eval_split(), resamples=0, seed=0)
    for diagram in blocks(section, Lines, "Reliability"):
        assert (diagram.reference.start, diagram.reference.end) == ((0, 0), (1, 1))
        assert sum(metric.n for metric in diagram.lines[0].metrics) == 45


def test_without_validation_rows_there_is_a_note():
    assert "no validation rows" in notes(calibration_section(eval_split(), resamples=10, seed=0))


def test_groups_widen_the_intervals_of_calibration():
    alone, grouped = (
        blocks(
            calibration_section(eval_split(groups=groups), resamples=300, seed=0),
            Lines,
            "Error rate",
        )[0]
        .lines[0]
        .metrics[-1]
        for groups in (None, np.arange(45) // 9)
    )
    assert (alone.value, alone.n) == (grouped.value, grouped.n)
    assert grouped.high > alone.high


def test_without_intervals_the_gap_is_not_called_significant():
    section = calibration_section(eval_split(sure=12.0), resamples=0, seed=0)
    assert section.sentences[0] == "Mean confidence minus accuracy is 0.133 (no interval), n = 45."


def test_a_temperature_by_hand_and_the_sentence_about_it():
    """Right in three rows of four with a confidence of 0.9: 2 = log(9) / log(3) makes it 0.75."""
    rows = np.arange(40)
    whole = eval_split(rows=40, wrong=0)
    schema = whole.schema.model_copy(
        update={"heads": {"label": Classes(names=["a", "b"], counts=[1, 1])}}
    )
    whole = dataclasses.replace(
        whole,
        schema=schema,
        labels=(rows % 4 == 3).astype(int),
        predictions={"label": np.tile([0.9, 0.1], (40, 1))},
    )
    section = calibration_section(
        dataclasses.replace(whole, validation=whole), resamples=50, seed=0
    )
    (metrics,) = blocks(section, Metrics, "Temperature")
    assert metrics.metrics["temperature"].value == pytest.approx(2, abs=1e-4)
    assert metrics.metrics["temperature"].low < 2 < metrics.metrics["temperature"].high
    expected = (
        "A temperature of 2.00, fitted on 40 validation rows, lowers the expected calibration "
        "error from 0.150 to 0.000 (n = 40)."
    )
    assert expected in section.sentences
    # all confidences are equal: no threshold separates the rows
    assert len(section.sentences) == 2


def test_a_temperature_that_does_not_improve_calibration_is_reported():
    """The model is overconfident on validation rows, but right on all test rows."""
    whole = dataclasses.replace(eval_split(wrong=0), validation=eval_split(wrong=15))
    section = calibration_section(whole, resamples=50, seed=0)
    assert any("does not improve calibration" in sentence for sentence in section.sentences)
    # without errors there is nothing to gain
    assert not any("highest confidence" in sentence for sentence in section.sentences)


def test_validation_rows_that_are_all_right_give_no_temperature():
    section = calibration_section(
        dataclasses.replace(eval_split(), validation=eval_split(wrong=0)), resamples=0, seed=0
    )
    assert "No temperature could be fitted on 45 validation rows: every row is right" in notes(
        section
    )
    assert not blocks(section, Table, "With a temperature of")


def test_every_label_of_a_row_is_a_decision_with_a_confidence():
    head = MultiLabelHead()
    whole = dataclasses.replace(
        eval_split(head=head), validation=eval_split(head=head, wrong=15, seed=1)
    )
    section = calibration_section(whole, resamples=30, seed=0)
    [found] = blocks(section, Metrics, "Calibration")
    expected = calibration.calibration(
        *calibration.decisions(whole.labels, whole.predictions["label"]),
        resamples=30,
        groups=np.repeat(np.arange(45), 3),
    ).metrics["ece"]
    shown = found.metrics["expected calibration error"]
    assert (shown.value, shown.low, shown.n) == (expected.value, expected.low, 45 * 3)
    assert blocks(section, Table, "With a temperature of")
    assert any(
        "of decisions on a label with the highest confidence" in s for s in section.sentences
    )


@pytest.mark.parametrize(
    "head", [head for head in HEADS if head.target_type == "number"], ids=lambda head: head.type
)
def test_other_heads_have_no_confidence(head):
    section = calibration_section(eval_split(head=head), resamples=0, seed=0)
    assert "does not choose one class" in notes(section)
    assert not section.sentences


def test_calibration_needs_two_labelled_rows():
    whole = eval_split()
    section = calibration_section(
        dataclasses.replace(whole, known=np.arange(45) == 3), resamples=0, seed=0
    )
    assert "needs two rows with a label" in notes(section)


# --- retrieval


def retrieved(section):
    (table,) = blocks(section, Table, "Retrieval")
    names = [column.name for column in table.columns]
    return {(row[0], row[1]): dict(zip(names[2:], row[2:])) for row in table.rows}


def test_retrieval_in_both_directions_matches_chance_by_class():
    """The vectors show only the class: any of its 15 rows is as likely to be first."""
    section = retrieval_section(eval_split(matching=True), resamples=20, seed=0)
    found = retrieved(section)
    assert set(found) == {("photo", "title"), ("title", "photo")}
    assert len(section.sentences) == 2
    for metrics in found.values():
        # photos of a class are equal files: each is right
        assert metrics["recall at 1"].value == 1
        assert metrics["recall at 1 by chance"] == pytest.approx(15 / 45)
        assert metrics["median rank"].value == pytest.approx(1)
        assert metrics["recall at 1"].n == 45


def test_without_equal_cells_only_the_row_itself_is_right():
    whole = eval_split(matching=True)
    # other files of the same pixels
    for row in range(45):
        file = io.BytesIO()
        Image.open(io.BytesIO(whole.raw["photo"][row])).save(
            file, "PNG", compress_level=row % 9 + 1, dpi=(row + 1, 1)
        )
        whole.raw["photo"][row] = file.getvalue()
    found = retrieved(retrieval_section(whole, resamples=0, seed=0))["photo", "title"]
    assert found["recall at 1"].value == pytest.approx(1 / 15)
    assert found["recall at 10"].value == pytest.approx(10 / 15)
    assert found["recall at 1 by chance"] == pytest.approx(1 / 45)
    # a row of the same group with other cells is no right answer, as in `evaluate`
    groups = np.arange(45) % 3 + 3 * (np.arange(45) < 6)
    grouped = dataclasses.replace(whole, groups=groups)
    again = retrieved(retrieval_section(grouped, resamples=0, seed=0))["photo", "title"]
    assert again == found
    # but they are drawn together
    ungrouped, drawn = (
        retrieved(retrieval_section(one, resamples=50, seed=0))["photo", "title"]["recall at 1"]
        for one in (whole, grouped)
    )
    assert drawn.value == ungrouped.value
    assert (drawn.low, drawn.high) != (ungrouped.low, ungrouped.high)


def test_rows_without_one_of_the_two_or_without_a_vector_are_left_out():
    whole = eval_split(matching=True)
    whole.present[:4, 0] = False
    whole.predictions["match"][4, 1, :-1] = 0
    assert (
        retrieved(retrieval_section(whole, resamples=0, seed=0))["title", "photo"]["recall at 1"].n
        == 40
    )


def test_without_aligned_inputs_there_is_a_note():
    assert "No head of this model aligns inputs" in notes(retrieval_section(eval_split(), 0, 0))
    assert "photo and title: fewer than 10 rows have both" in notes(
        retrieval_section(eval_split(rows=8, matching=True), 0, 0)
    )
    whole = eval_split(matching=True)
    served = dataclasses.replace(whole, predictions=whole.predictions | {"match": np.full(45, 0.5)})
    assert "a served model gives no vectors" in notes(retrieval_section(served, 0, 0))


def test_hand_made_vectors_give_metrics_worked_by_hand():
    """Rows 0 and 1 have changed titles: each finds its own second, all others first."""
    whole = eval_split(rows=12, matching=True)
    # no two are the same file
    for row in range(12):
        whole.raw["photo"][row] = b"photo %d" % row
    title = np.eye(12)
    title[[0, 1]] = 0.6 * np.eye(12)[[0, 1]] + 0.8 * np.eye(12)[[1, 0]]
    vectors = np.stack(
        [np.pad(np.eye(12), ((0, 0), (0, 1))), np.pad(title, ((0, 0), (0, 1)), constant_values=9)],
        axis=1,
    )
    section = retrieval_section(
        dataclasses.replace(whole, predictions=whole.predictions | {"match": vectors}),
        resamples=0,
        seed=0,
    )
    for metrics in retrieved(section).values():
        assert metrics["recall at 1"].value == pytest.approx(10 / 12)
        assert metrics["recall at 5"].value == 1
        assert metrics["mean average precision"].value == pytest.approx(11 / 12)
        assert metrics["recall at 5 by chance"] == pytest.approx(5 / 12)
    assert section.sentences[0] == (
        "Retrieving title by photo: recall at 1 is 0.833 (no interval) among 12 rows, "
        "0.083 by chance."
    )


def test_rows_that_are_all_relevant_to_each_other_are_left_out():
    whole = eval_split(matching=True)
    whole.raw["photo"][:] = whole.raw["photo"][0]
    section = retrieval_section(whole, resamples=0, seed=0)
    assert "photo and title: all 45 rows are relevant to each other" in notes(section)
    assert not section.sentences
