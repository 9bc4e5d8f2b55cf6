"""Perception: calibration, retrieval, errors and explained rows, on a model made by hand whose answers are known."""

import dataclasses
import io

import numpy as np
import pandas as pd
import pytest
import soundfile
from PIL import Image
from sklearn.metrics import confusion_matrix

from multimodal_tf.config import (
    AudioInput,
    ClassificationHead,
    Config,
    ImageInput,
    MatchingHead,
    MultiLabelHead,
    NumberInput,
    QuantileHead,
    RegressionHead,
    TextInput,
    VideoInput,
)
from multimodal_tf.evaluation import calibration, page
from multimodal_tf.evaluation.corruptions import picture, wav
from multimodal_tf.evaluation.page import Bars, Examples, Figure, Figures, HeatMap, Lines, Note, Picture, Sound, Table
from multimodal_tf.evaluation.perception.errors import errors_section
from multimodal_tf.evaluation.perception.examined import Examined
from multimodal_tf.evaluation.perception.pairs import retrieval_section
from multimodal_tf.evaluation.perception.rows import explained_section
from multimodal_tf.evaluation.perception.trust import calibration_section
from multimodal_tf.schema import Classes, Moments, Schema

CLASSES = ("bird", "<b>cat</b>", "dog")
WORDS = ("wing", "whiskers", "bark")
RATE = 4000
INPUTS = {"photo": ImageInput(), "title": TextInput(), "sound": AudioInput(sample_rate=RATE, seconds=0.25), "price": NumberInput()}


def photo(label):
    """A bright spot in another corner for each class."""
    pixels = np.full((16, 16), 50, np.uint8)
    y, x = ((2, 2), (2, 10), (10, 2))[label]
    pixels[y : y + 4, x : x + 4] = 220
    return picture.png(pixels)


def sound(label, channels):
    wave = 0.3 * np.sin(2 * np.pi * (300, 700, 1500)[label] * np.arange(RATE // 4) / RATE)
    return wav.wav(np.repeat(wave[:, None], channels, axis=1), RATE)


def shown(cell, name):
    """How much of each class a cell shows, float (3,)."""
    if name == "title":
        return np.array([word.encode() in cell for word in WORDS], float)
    if not cell:
        return np.zeros(3)
    if name == "photo":
        pixels = picture.pixels(cell)
        return np.array([(pixels[y : y + 4, x : x + 4] > 200).mean() for y, x in ((2, 2), (2, 10), (10, 2))])
    samples, rate = wav.samples(cell)
    spectrum = np.abs(np.fft.rfft(samples.mean(axis=1)))
    return spectrum[np.array([300, 700, 1500]) * len(samples) // rate] / (0.15 * len(samples))


def answering(config, sure=3.0):
    def answer(raw):
        rows = len(raw["title"])
        votes = sum(np.stack([shown(raw[name][row], name) for row in range(rows)]) for name in ("photo", "title", "sound"))
        kind = config.heads["label"].type
        probability = np.exp(sure * votes) / np.exp(sure * votes).sum(axis=1, keepdims=True)
        made = {
            "classification": probability,
            "multi_label": 1 / (1 + np.exp(-sure * (votes - 0.5))),
            "regression": votes[:, :1],
            "quantile": votes[:, :1] + [[-1.0, 0.0, 1.0]],
        }
        said = {"label": made[kind]}
        if "match" in config.heads:
            pair = [np.stack([shown(raw[name][row], name) for row in range(rows)]) for name in ("photo", "title")]
            said["match"] = np.stack([np.concatenate([part, np.ones((rows, 1))], axis=1) for part in pair], axis=1)
        return said

    return answer


def examined(rows=45, head=None, matching=False, sure=3.0, wrong=6, seed=0, groups=None, table=None):
    """A split whose inputs all show the class, but for `wrong` rows, which show the next one."""
    heads = {"label": head or ClassificationHead()} | ({"match": MatchingHead(inputs=["photo", "title"])} if matching else {})
    config = Config(inputs=INPUTS, heads=heads)
    labels = np.arange(rows) % 3
    seen = np.where(np.arange(rows) < wrong, (labels + 1) % 3, labels)
    random = np.random.default_rng(seed)
    raw = {name: np.empty(rows, object) for name in ("photo", "title", "sound")}
    for row, label in enumerate(seen):
        raw["photo"][row] = photo(label)
        raw["title"][row] = f"a {WORDS[label]} of {row}".encode()
        raw["sound"][row] = sound(label, 1 + row % 2) if row % 5 else b""
    raw["price"] = random.normal(size=rows).astype(np.float32)
    answer = answering(config, sure)
    if heads["label"].label == "class":
        learnt, target = Classes(names=list(CLASSES), counts=[9, 9, 9]), labels
    elif heads["label"].label == "classes":
        learnt, target = Classes(names=list(CLASSES), counts=[9, 9, 9]), np.eye(3)[labels]
    else:
        learnt, target = Moments(mean=0.0, std=1.0), labels[:, None].astype(float)
    return Examined(
        config=config,
        schema=Schema(rows=9, inputs={}, heads={"label": learnt}),
        split="test",
        head="label",
        rows=np.arange(rows) + 100,
        raw=raw,
        present=np.stack([[bool(cell) for cell in raw[name]] for name in ("photo", "title", "sound")] + [np.ones(rows, bool)], axis=1),
        groups=groups,
        labels=target,
        known=np.ones(rows, bool),
        answers=answer(raw),
        embeddings={},
        table=table,
        answer=answer,
        embed=lambda raw: {},
        validation=None,
    )


def blocks(told, kind, title=""):
    return [block for block in told.section.blocks if isinstance(block, kind) and title in getattr(block, "title", "")]


def notes(told):
    return " ".join(block.text for block in blocks(told, Note))


def saved(told, tmp_path):
    """The section as a page."""
    page.save(page.Page("x", ["y"], [told.section], {}), tmp_path / "page")
    return (tmp_path / "page" / "index.html").read_text()


HEADS = [MultiLabelHead(), RegressionHead(), QuantileHead(quantiles=[0.1, 0.5, 0.9])]


# --- calibration


def test_figures_are_those_of_the_labelled_rows():
    whole = examined()
    known = np.arange(45) % 7 > 0
    whole = dataclasses.replace(whole, known=known, labels=np.where(known, whole.labels, -1))
    told = calibration_section(whole, resamples=0, seed=0)
    (figures,) = blocks(told, Figures, "Calibration")
    expected = calibration.calibration(whole.labels[known], whole.answers["label"][known], resamples=0).figures
    assert figures.figures["expected calibration error"].value == expected["ece"].value
    assert figures.figures["Brier score"].value == expected["brier"].value
    assert {figure.n for figure in figures.figures.values()} == {int(known.sum())}


def test_a_temperature_of_validation_rows_mends_a_model_that_is_too_sure():
    """Of 45 rows 6 are wrong, and the model is sure of all."""
    whole = dataclasses.replace(examined(sure=12.0), validation=examined(sure=12.0, seed=1))
    told = calibration_section(whole, resamples=100, seed=0)
    (table,) = blocks(told, Table, "With a temperature of")
    before, after = ({row[0]: row[column] for row in table.rows} for column in (1, 2))
    assert after["expected calibration error"].value < 0.2 * before["expected calibration error"].value
    assert after["log loss"].value < before["log loss"].value
    assert after["log loss"].low < after["log loss"].value < after["log loss"].high
    assert any(sentence.startswith("Its probabilities are too sure") for sentence in told.sentences)


def test_risk_by_coverage_has_intervals_and_ends_with_the_error_rate():
    told = calibration_section(examined(), resamples=0, seed=0)
    (lines,) = blocks(told, Lines, "Wrong answers by how many are given")
    last = lines.lines[0].figures[-1]
    assert (last.value, last.n) == (pytest.approx(6 / 45), 45)
    assert all(figure.low <= figure.value <= figure.high for figure in lines.lines[0].figures)
    assert last.high == pytest.approx(0.2679, abs=1e-3)  # Clopper and Pearson of 6 in 45


def test_the_reliability_diagrams_stand_against_the_diagonal():
    told = calibration_section(examined(), resamples=0, seed=0)
    for diagram in blocks(told, Lines, "Reliability"):
        assert (diagram.reference.start, diagram.reference.end) == ((0, 0), (1, 1))
        assert sum(figure.n for figure in diagram.lines[0].figures) == 45


def test_without_validation_rows_and_with_groups_it_says_so():
    told = calibration_section(examined(groups=np.arange(45) // 2), resamples=10, seed=0)
    assert "no validation rows" in notes(told)
    assert "take rows to be independent" in notes(told)


def test_without_intervals_it_does_not_say_whether_a_gap_is_chance():
    told = calibration_section(examined(sure=12.0), resamples=0, seed=0)
    assert told.sentences[0] == "Confidence less accuracy is 0.133 (no interval), n = 45, share."


def test_a_temperature_by_hand_and_the_sentence_about_it():
    """Right in three rows of four with a confidence of 0.9: 2 = log(9) / log(3) makes it 0.75."""
    rows = np.arange(40)
    whole = examined(rows=40, wrong=0)
    schema = whole.schema.model_copy(update={"heads": {"label": Classes(names=["a", "b"], counts=[1, 1])}})
    whole = dataclasses.replace(whole, schema=schema, labels=(rows % 4 == 3).astype(int), answers={"label": np.tile([0.9, 0.1], (40, 1))})
    told = calibration_section(dataclasses.replace(whole, validation=whole), resamples=50, seed=0)
    (figures,) = blocks(told, Figures, "Temperature")
    assert figures.figures["temperature"].value == pytest.approx(2, abs=1e-4)
    assert figures.figures["temperature"].low < 2 < figures.figures["temperature"].high
    said = "A temperature of 2.00, fitted on 40 validation rows, would bring the expected calibration error from 0.150 to 0.000 (n = 40)."
    assert said in told.sentences
    assert len(told.sentences) == 2  # all are equally sure: no threshold parts them


def test_a_temperature_that_does_not_mend_is_said_so():
    """Validation rows say that it is too sure, but all test rows are right."""
    whole = dataclasses.replace(examined(wrong=0), validation=examined(wrong=15))
    told = calibration_section(whole, resamples=50, seed=0)
    assert any("would not mend its calibration" in sentence for sentence in told.sentences)
    assert not any("surest" in sentence for sentence in told.sentences)  # nothing is wrong, so nothing is won


def test_validation_rows_that_are_all_right_give_no_temperature():
    told = calibration_section(dataclasses.replace(examined(), validation=examined(wrong=0)), resamples=0, seed=0)
    assert "No temperature could be fitted on 45 validation rows: every row is right" in notes(told)
    assert not blocks(told, Table, "With a temperature of")


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.type)
def test_other_heads_have_no_confidence(head):
    told = calibration_section(examined(head=head), resamples=0, seed=0)
    assert "does not choose one class" in notes(told)
    assert not told.sentences


def test_a_single_labelled_row_is_no_calibration():
    whole = examined()
    told = calibration_section(dataclasses.replace(whole, known=np.arange(45) == 3), resamples=0, seed=0)
    assert "needs two rows with a label" in notes(told)


# --- retrieval


def retrieved(told):
    (table,) = blocks(told, Table, "Retrieval")
    names = [column.name for column in table.columns]
    return {(row[0], row[1]): dict(zip(names[2:], row[2:])) for row in table.rows}


def test_each_input_finds_the_other_both_ways_as_often_as_chance_says():
    """The vectors know the class only: of 15 rows of it, any is first as often."""
    told = retrieval_section(examined(matching=True), resamples=20, seed=0)
    found = retrieved(told)
    assert set(found) == {("photo", "title"), ("title", "photo")}
    assert len(told.sentences) == 2
    for figures in found.values():
        assert figures["recall at 1"].value == 1  # photos of a class are equal files: each is right
        assert figures["recall at 1 by chance"] == pytest.approx(15 / 45)
        assert figures["median rank"].value == pytest.approx(1)
        assert figures["recall at 1"].n == 45


def test_without_equal_cells_only_the_row_itself_is_right():
    whole = examined(matching=True)
    for row in range(45):  # other files of the same pixels
        file = io.BytesIO()
        Image.open(io.BytesIO(whole.raw["photo"][row])).save(file, "PNG", compress_level=row % 9 + 1, dpi=(row + 1, 1))
        whole.raw["photo"][row] = file.getvalue()
    found = retrieved(retrieval_section(whole, resamples=0, seed=0))["photo", "title"]
    assert found["recall at 1"].value == pytest.approx(1 / 15)
    assert found["recall at 10"].value == pytest.approx(10 / 15)
    assert found["recall at 1 by chance"] == pytest.approx(1 / 45)
    grouped = dataclasses.replace(whole, groups=np.arange(45) % 3 + 3 * (np.arange(45) < 6))
    assert retrieved(retrieval_section(grouped, resamples=0, seed=0))["photo", "title"]["recall at 1"].value > 0.6


def test_rows_that_lack_one_of_the_two_or_have_no_vector_take_no_part():
    whole = examined(matching=True)
    whole.present[:4, 0] = False
    whole.answers["match"][4, 1, :-1] = 0
    assert retrieved(retrieval_section(whole, resamples=0, seed=0))["title", "photo"]["recall at 1"].n == 40


def test_where_nothing_is_aligned_it_says_so():
    assert "No head of this model aligns inputs" in notes(retrieval_section(examined(), 0, 0))
    assert "photo and title: fewer than 10 rows have both" in notes(retrieval_section(examined(rows=8, matching=True), 0, 0))
    whole = examined(matching=True)
    served = dataclasses.replace(whole, answers=whole.answers | {"match": np.full(45, 0.5)})
    assert "a served model gives no vectors" in notes(retrieval_section(served, 0, 0))


def test_vectors_made_by_hand_give_figures_worked_by_hand():
    """Rows 0 and 1 have changed titles: each finds its own second, all others first."""
    whole = examined(rows=12, matching=True)
    for row in range(12):  # no two are the same file
        whole.raw["photo"][row] = b"photo %d" % row
    title = np.eye(12)
    title[[0, 1]] = 0.6 * np.eye(12)[[0, 1]] + 0.8 * np.eye(12)[[1, 0]]
    vectors = np.stack([np.pad(np.eye(12), ((0, 0), (0, 1))), np.pad(title, ((0, 0), (0, 1)), constant_values=9)], axis=1)
    told = retrieval_section(dataclasses.replace(whole, answers=whole.answers | {"match": vectors}), resamples=0, seed=0)
    for figures in retrieved(told).values():
        assert figures["recall at 1"].value == pytest.approx(10 / 12)
        assert figures["recall at 5"].value == 1
        assert figures["mean average precision"].value == pytest.approx(11 / 12)
        assert figures["recall at 5 by chance"] == pytest.approx(5 / 12)
    assert told.sentences[0] == "Photo finds its row's title first among 12 in 0.833 (no interval) of the cases; by chance 0.083."


def test_where_all_rows_are_alike_there_is_nothing_to_find():
    told = retrieval_section(examined(matching=True, groups=np.zeros(45, int)), resamples=0, seed=0)
    assert "photo and title: all 45 rows are right answers to each other" in notes(told)
    assert not told.sentences


# --- errors


def test_confusions_are_counted():
    whole = examined()
    told = errors_section(whole, resamples=0, seed=0)
    (heat,) = blocks(told, HeatMap)
    np.testing.assert_array_equal(heat.values, confusion_matrix(whole.labels, whole.answers["label"].argmax(axis=1)))
    (frequent,) = blocks(told, Table, "Most frequent confusions")
    assert {(row[0], row[1], row[2]) for row in frequent.rows} == {(CLASSES[i], CLASSES[(i + 1) % 3], 2) for i in range(3)}
    assert frequent.rows[0][3].value == pytest.approx(2 / 15)


def test_the_worst_rows_are_the_wrong_ones_and_can_be_seen_and_heard(tmp_path):
    told = errors_section(examined(), resamples=0, seed=0)
    (worst,) = blocks(told, Examples)
    assert {example.name for example in worst.examples[:6]} == {f"row {number}" for number in range(100, 106)}
    assert all(example.truth != example.predicted for example in worst.examples[:6])
    one = next(example for example in worst.examples if example.name == "row 101")
    assert isinstance(one.cells["photo"], Picture)
    assert isinstance(one.cells["sound"], Sound)
    assert soundfile.info(io.BytesIO(one.cells["sound"].data)).channels == 2
    assert next(example for example in worst.examples if example.name == "row 100").cells["sound"] is None
    html = saved(told, tmp_path)
    assert "<audio" in html
    assert "<b>cat</b>" not in html


def test_a_planted_slice_is_found_among_the_columns_of_the_table():
    rows = 90
    random = np.random.default_rng(0)
    table = pd.DataFrame({"camera": np.where(np.arange(rows) < 15, "old", "new"), "shop": random.integers(3, size=rows)})
    table["label"] = "x"
    table["path"] = [f"{number}.png" for number in range(rows)]
    table["boxes"] = [[1, 2]] * rows
    table["taken"] = pd.date_range("2024-01-01", periods=rows)
    told = errors_section(examined(rows=rows, wrong=14, table=table), resamples=0, seed=0)
    (slices,) = blocks(told, Table, "Slices")
    assert {row[0] for row in slices.rows} == {"camera", "shop", "taken", "presence of sound"}
    assert "It is right less often where camera = old" in told.sentences[-1] or "taken" in told.sentences[-1]
    old = next(row for row in slices.rows if row[:2] == ["camera", "old"])
    assert old[2].value == pytest.approx(1 / 15)
    assert old[2].low < 1 / 15 < old[2].high
    assert old[-1] < 1e-6


def test_columns_that_cannot_be_sliced_are_left_out():
    number = np.arange(45)
    table = pd.DataFrame({"shop": np.where(number % 2, "a", "b"), "ratio": np.where(number % 7, number, np.inf)})
    table["sets"], table["nested"] = [{1}] * 45, [(1, [2])] * 45
    (slices,) = blocks(errors_section(examined(table=table), resamples=0, seed=0), Table, "Slices")
    assert {row[0] for row in slices.rows} <= {"shop", "presence of sound"}


@pytest.mark.parametrize("wrong", [0, 1])
def test_none_or_one_row_wrong(wrong):
    told = errors_section(examined(wrong=wrong), resamples=0, seed=0)
    assert len(blocks(told, Table, "Most frequent confusions")) == wrong
    expected = ("It errs in none of 45 rows.", "The most frequent confusion: bird is taken for <b>cat</b>, in 1 of 1 errors.")
    assert told.sentences == (expected[wrong],)


def test_absent_and_broken_cells_of_the_worst_rows_are_none():
    whole = examined()
    whole.raw["photo"][1], whole.present[1, 0] = b"no picture", False
    (worst,) = blocks(errors_section(whole, resamples=0, seed=0), Examples)
    cells = {example.name: example.cells for example in worst.examples}
    assert cells["row 101"]["photo"] is None
    assert cells["row 100"]["sound"] is None
    assert cells["row 101"]["title"] == "a bark of 1"


def test_groups_make_intervals_too_narrow_and_it_says_so():
    assert "take rows to be independent" in notes(errors_section(examined(groups=np.arange(45) // 2), resamples=0, seed=0))
    assert not notes(errors_section(examined(), resamples=0, seed=0))


@pytest.mark.parametrize("head", [None, *HEADS], ids=lambda head: "classification" if head is None else head.type)
@pytest.mark.parametrize("labelled", [0, 1])
def test_errors_need_two_rows_with_a_label(head, labelled):
    told = errors_section(dataclasses.replace(examined(head=head), known=np.arange(45) < labelled), resamples=0, seed=0)
    assert notes(told) == f"Errors need two rows with a label, received {labelled}."


def test_of_many_classes_those_with_errors_are_shown():
    whole = examined()
    names = [f"class {number}" for number in range(60)]
    answers = np.concatenate([whole.answers["label"], np.zeros((45, 57))], axis=1)
    schema = whole.schema.model_copy(update={"heads": {"label": Classes(names=names, counts=[1] * 60)}})
    told = errors_section(dataclasses.replace(whole, schema=schema, answers={"label": answers}), 0, 0)
    (heat,) = blocks(told, HeatMap)
    assert "30 of 60 classes" in heat.title
    assert heat.rows[:3] == names[:3]
    assert np.sum(heat.values) == 45


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.type)
def test_other_heads_have_worst_rows(head, tmp_path):
    told = errors_section(examined(head=head), resamples=0, seed=0)
    assert "does not choose one class" in notes(told)
    assert len(blocks(told, Examples)[0].examples) == 8
    assert "row 10" in saved(told, tmp_path)


# --- explained rows


@pytest.fixture(scope="module")
def explained():
    return explained_section(examined(), resamples=50, seed=0)


def test_the_worst_rows_and_some_right_ones_are_explained(explained, tmp_path):
    worst, right = blocks(explained, Examples)
    assert {example.name for example in worst.examples} == {f"row {number}" for number in range(100, 106)}
    assert len(right.examples) == 3
    assert all(example.truth == example.predicted for example in right.examples)
    html = saved(explained, tmp_path)
    assert html.count("<audio") >= 5
    assert "&lt;b&gt;" in html


def test_contributions_and_maps_stand_with_each_row(explained):
    example = next(one for one in blocks(explained, Examples)[0].examples if one.name == "row 101")
    assert example.predicted == "dog"
    adds = {name: float(example.facts[f"{name} adds"]) for name in INPUTS}
    total = float(example.facts["probability"]) - float(example.facts["without any input"])
    assert sum(adds.values()) == pytest.approx(total, abs=0.03)  # of rounded numbers
    assert adds["price"] == 0
    assert min(adds["photo"], adds["title"], adds["sound"]) > 0.1
    title = example.cells["title"]
    assert title.startswith("a bark [+0.00")
    assert title.endswith("] of 1")
    pictures = {name: cell for name, cell in example.cells.items() if isinstance(cell, Picture)}
    assert [name.split(",")[0] for name in pictures] == ["photo", "photo", "sound"]
    assert example.cells["price"]


def test_what_the_picture_marks_is_the_spot():
    """Only the picture is there, and its class' spot is red."""
    whole = examined(rows=6, wrong=0)
    for name in ("title", "sound"):
        whole.raw[name][:] = b""
    whole.present[:, 1:3] = False
    told = explained_section(dataclasses.replace(whole, answers=whole.answer(whole.raw)), resamples=0, seed=0)
    (example,) = [one for block in blocks(told, Examples) for one in block.examples if one.name == "row 105"]
    assert example.truth == "dog"
    (name,) = [name for name in example.cells if name.startswith("photo, strongest part +")]
    drawn = np.asarray(Image.open(io.BytesIO(example.cells[name].data))).astype(int)
    y, x = np.unravel_index((drawn[..., 0] - drawn[..., 2]).argmax(), drawn.shape[:2])
    assert (10 <= y / 16 <= 14, 2 <= x / 16 <= 6) == (True, True)


def test_deletion_by_the_map_hurts_sooner_than_at_random_in_every_input(explained):
    (bars,) = blocks(explained, Bars)
    assert list(bars.bars) == ["photo", "title", "sound"]
    for figure in bars.bars.values():
        assert figure.low > 0
    assert bars.bars["photo"].n == 9
    for lines in blocks(explained, Lines, "Deletion of parts of"):
        by_map, at_random = lines.lines
        assert (by_map.name, at_random.name) == ("by the map", "at random")
        assert by_map.figures[0].value == at_random.figures[0].value
        assert by_map.figures[3].value < at_random.figures[3].value
    assert not explained.sentences


def test_the_same_seed_explains_the_same(explained):
    again = explained_section(examined(), resamples=50, seed=0)
    assert again == explained


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.type)
def test_other_heads_are_explained_too(head, tmp_path):
    told = explained_section(examined(rows=12, head=head, wrong=3), resamples=10, seed=0)
    assert len(blocks(told, Examples)) == 2
    assert blocks(told, Bars)[0].bars["photo"].unit.startswith({"classes": "probability of the surest label"}.get(head.label, "answer"))
    assert "adds" in saved(told, tmp_path)


def test_broken_cells_and_rows_without_anything(tmp_path):
    whole = examined(rows=6)
    whole.raw["photo"][0] = b"no picture"
    whole.raw["title"][1], whole.raw["sound"][2] = "一只 bark".encode(), b""
    plain = whole.answer

    def answer(raw):
        return plain(raw | {"photo": np.array([b"" if cell == b"no picture" else cell for cell in raw["photo"]], object)})

    told = explained_section(
        dataclasses.replace(whole, answer=answer, answers=answer(whole.raw), known=np.arange(6) < 2), resamples=0, seed=0
    )
    html = saved(told, tmp_path)
    assert "cannot be read: an image must be one that can be decoded" in html
    assert "一只 bark [+" in html
    nothing = dataclasses.replace(whole, present=np.zeros_like(whole.present))
    assert "No row of this split has a label and an input" in notes(explained_section(nothing, 0, 0))
    unknown = dataclasses.replace(whole, known=np.zeros(6, bool))
    assert "No row of this split has a label and an input" in notes(explained_section(unknown, 0, 0))


def test_one_labelled_row_is_explained():
    whole = examined(rows=6)
    told = explained_section(dataclasses.replace(whole, known=np.arange(6) == 2), resamples=10, seed=0)
    (only,) = blocks(told, Examples)
    assert [example.name for example in only.examples] == ["row 102"]
    assert all(isinstance(figure, Figure) and figure.low is None for figure in blocks(told, Bars)[0].bars.values())


def test_frames_of_a_video_are_explained(tmp_path):
    config = Config(inputs={"clip": VideoInput()}, heads={"label": RegressionHead()})
    clips = np.empty((3, 4), object)
    for row in range(3):
        clips[row] = [photo(number % 3) for number in range(2 + row)] + [b""] * (2 - row)

    def answer(raw):
        return {"label": np.array([[sum(bool(cell) for cell in cells)] for cells in raw["clip"]], float)}

    whole = dataclasses.replace(
        examined(rows=3, head=RegressionHead()),
        config=config,
        raw={"clip": clips},
        present=np.ones((3, 1), bool),
        answer=answer,
        answers=answer({"clip": clips}),
    )
    told = explained_section(whole, resamples=0, seed=0)
    cells = [example.cells for block in blocks(told, Examples) for example in block.examples]
    assert "+1 +1" in {each["clip, frames from the first on"] for each in cells}
    assert "frames from the first on" in saved(told, tmp_path)


def test_maps_that_are_no_better_than_chance_are_said():
    """Words matter in pairs only: without any one of four all is lost, so their map says nothing."""
    whole = examined(rows=6)

    def answer(raw):
        right = [len(cell.split()) == 4 for cell in raw["title"]]
        return {"label": np.stack([np.array(right, float), 1.0 - np.array(right), np.zeros(len(right))], axis=1)}

    told = explained_section(dataclasses.replace(whole, answer=answer, answers=answer(whole.raw)), resamples=0, seed=0)
    assert any("not to be relied on" in sentence and "title" in sentence for sentence in told.sentences)
