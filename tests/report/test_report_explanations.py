"""The section on explanations of single rows, for a hand-made model with known predictions."""

import dataclasses
import io

import numpy as np
import PIL.Image
import pytest
from hand_made_split import HEADS, INPUTS, blocks, eval_split, notes, photo, saved

from multimodal_tf.config import ClassificationHead, Config, RegressionHead, TextInput, VideoInput
from multimodal_tf.metrics.metric import Metric
from multimodal_tf.report.model.explanations import explanations_section
from multimodal_tf.report.page import Bars, Examples, Image, Lines
from multimodal_tf.schema import Classes, Schema


@pytest.fixture(scope="module")
def explained():
    return explanations_section(eval_split(), resamples=50, seed=0)


def test_rows_with_the_highest_loss_and_some_right_ones_are_explained(explained, tmp_path):
    worst, right = blocks(explained, Examples)
    assert {example.name for example in worst.examples} == {
        f"row {number}" for number in range(100, 106)
    }
    assert len(right.examples) == 3
    assert all(example.truth == example.predicted for example in right.examples)
    html = saved(explained, tmp_path)
    assert html.count("<audio") >= 5
    assert "&lt;b&gt;" in html


def test_each_row_has_contributions_and_maps(explained):
    example = next(one for one in blocks(explained, Examples)[0].examples if one.name == "row 101")
    assert example.predicted == "dog"
    contributions = {name: float(example.facts[f"contribution of {name}"]) for name in INPUTS}
    total = float(example.facts["probability of the predicted class"]) - float(
        example.facts["without any input"]
    )
    # of rounded numbers
    assert sum(contributions.values()) == pytest.approx(total, abs=0.03)
    assert contributions["price"] == 0
    assert min(contributions["photo"], contributions["title"], contributions["sound"]) > 0.1
    title = example.cells["title"]
    assert title.startswith("a bark [+0.00")
    assert title.endswith("] of 1")
    pictures = {name: cell for name, cell in example.cells.items() if isinstance(cell, Image)}
    assert [name.split(",")[0] for name in pictures] == ["photo", "photo", "sound"]
    assert example.cells["price"]


def test_the_map_of_an_image_marks_the_spot():
    """Only the image is present, and the spot of its class is red."""
    whole = eval_split(rows=6, wrong=0)
    for name in ("title", "sound"):
        whole.raw[name][:] = b""
    whole.present[:, 1:3] = False
    section = explanations_section(
        dataclasses.replace(whole, predictions=whole.predict(whole.raw)), resamples=0, seed=0
    )
    (example,) = [
        one
        for block in blocks(section, Examples)
        for one in block.examples
        if one.name == "row 105"
    ]
    assert example.truth == "dog"
    (name,) = [name for name in example.cells if name.startswith("photo, most relevant part +")]
    drawn = np.asarray(PIL.Image.open(io.BytesIO(example.cells[name].data))).astype(int)
    y, x = np.unravel_index((drawn[..., 0] - drawn[..., 2]).argmax(), drawn.shape[:2])
    assert (10 <= y / 16 <= 14, 2 <= x / 16 <= 6) == (True, True)


def test_deletion_by_the_map_hurts_sooner_than_at_random_in_every_input(explained):
    (bars,) = blocks(explained, Bars)
    assert list(bars.bars) == ["photo", "title", "sound"]
    for metric in bars.bars.values():
        assert metric.low > 0
    assert bars.bars["photo"].n == 9
    for lines in blocks(explained, Lines, "Deletion of parts of"):
        by_map, at_random = lines.lines
        assert (by_map.name, at_random.name) == ("by the map", "at random")
        assert by_map.metrics[0].value == at_random.metrics[0].value
        assert by_map.metrics[3].value < at_random.metrics[3].value
    assert not explained.sentences


def test_the_same_seed_gives_the_same_explanations():
    one, again = (
        explanations_section(eval_split(rows=3, wrong=1), resamples=50, seed=0) for _ in range(2)
    )
    assert again == one


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.type)
def test_other_heads_are_explained_too(head, tmp_path):
    section = explanations_section(eval_split(rows=3, head=head, wrong=1), resamples=10, seed=0)
    assert len(blocks(section, Examples)) == 2
    assert (
        blocks(section, Bars)[0]
        .bars["photo"]
        .unit.startswith(
            {"classes": "probability of the most probable label"}.get(
                head.target_type, "prediction"
            )
        )
    )
    assert "contribution of" in saved(section, tmp_path)


def test_broken_cells_and_rows_without_anything(tmp_path):
    whole = eval_split(rows=6)
    whole.raw["photo"][0] = b"no picture"
    whole.raw["title"][1], whole.raw["sound"][2] = "一只 bark".encode(), b""
    plain = whole.predict

    def predict(raw):
        return plain(
            raw
            | {
                "photo": np.array(
                    [b"" if cell == b"no picture" else cell for cell in raw["photo"]], object
                )
            }
        )

    section = explanations_section(
        dataclasses.replace(
            whole, predict=predict, predictions=predict(whole.raw), known=np.arange(6) < 2
        ),
        resamples=0,
        seed=0,
    )
    html = saved(section, tmp_path)
    assert "cannot be read: an image must be one that can be decoded" in html
    assert "一只 bark [+" in html
    nothing = dataclasses.replace(whole, present=np.zeros_like(whole.present))
    assert "No row of this split has a label and an input" in notes(
        explanations_section(nothing, 0, 0)
    )
    unknown = dataclasses.replace(whole, known=np.zeros(6, bool))
    assert "No row of this split has a label and an input" in notes(
        explanations_section(unknown, 0, 0)
    )


def test_one_labelled_row_is_explained():
    whole = eval_split(rows=6)
    section = explanations_section(
        dataclasses.replace(whole, known=np.arange(6) == 2), resamples=10, seed=0
    )
    (only,) = blocks(section, Examples)
    assert [example.name for example in only.examples] == ["row 102"]
    assert all(
        isinstance(metric, Metric) and metric.low is None
        for metric in blocks(section, Bars)[0].bars.values()
    )


def test_frames_of_a_video_are_explained(tmp_path):
    config = Config(inputs={"clip": VideoInput()}, heads={"label": RegressionHead()})
    clips = np.empty((3, 4), object)
    for row in range(3):
        clips[row] = [photo(number % 3) for number in range(2 + row)] + [b""] * (2 - row)

    def predict(raw):
        return {
            "label": np.array([[sum(bool(cell) for cell in cells)] for cells in raw["clip"]], float)
        }

    whole = dataclasses.replace(
        eval_split(rows=3, head=RegressionHead()),
        config=config,
        raw={"clip": clips},
        present=np.ones((3, 1), bool),
        predict=predict,
        predictions=predict({"clip": clips}),
    )
    section = explanations_section(whole, resamples=0, seed=0)
    cells = [example.cells for block in blocks(section, Examples) for example in block.examples]
    assert "+1 +1" in {each["clip, relevance of frames"] for each in cells}
    assert "relevance of frames" in saved(section, tmp_path)


def test_maps_that_are_no_better_than_chance_are_called_unreliable():
    """Without any one of four words the prediction drops alike, so the map shows nothing."""
    whole = eval_split(rows=6)

    def predict(raw):
        right = [len(cell.split()) == 4 for cell in raw["title"]]
        return {
            "label": np.stack(
                [np.array(right, float), 1.0 - np.array(right), np.zeros(len(right))], axis=1
            )
        }

    section = explanations_section(
        dataclasses.replace(whole, predict=predict, predictions=predict(whole.raw)),
        resamples=0,
        seed=0,
    )
    assert any("not reliable" in sentence and "title" in sentence for sentence in section.sentences)


# --- sentences for the summary


def sentences_about_titles(score, rows=4):
    """The sentences for rows with a title of four words; `score` is the class's probability."""
    config = Config(inputs={"title": TextInput()}, heads={"label": ClassificationHead()})
    raw = {"title": np.array([b"one two three four"] * rows, object)}

    def predict(cells):
        scores = np.array([score(cell) for cell in cells["title"]])
        return {"label": np.stack([scores, 1 - scores], axis=1)}

    schema = Schema(
        rows=9, inputs={}, heads={"label": Classes(names=["red", "blue"], counts=[5, 4])}
    )
    whole = dataclasses.replace(
        eval_split(rows),
        config=config,
        schema=schema,
        raw=raw,
        present=np.ones((rows, 1), bool),
        labels=np.arange(rows) % 2,
        predictions=predict(raw),
        predict=predict,
    )
    return explanations_section(whole, resamples=0, seed=0).sentences


@pytest.mark.parametrize("noise", [0.0, 1e-7])
def test_maps_of_an_ignored_input_are_not_called_unreliable(noise):
    """A map without relevance is right then, also with float32 noise."""
    random = np.random.default_rng(0)
    (sentence,) = sentences_about_titles(lambda cell: 0.75 + noise * random.normal())
    assert sentence == (
        "In none of the explained rows (n = 4) does the prediction change when title is deleted "
        "part by part."
    )


def test_maps_without_relevance_are_called_unreliable_if_the_input_matters():
    """Any one word is enough, so no single word has relevance."""
    (sentence,) = sentences_about_titles(lambda cell: 0.9 if cell else 0.6)
    assert sentence.startswith("The saliency maps of title are not reliable")
