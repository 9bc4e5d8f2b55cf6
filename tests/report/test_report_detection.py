"""The sections on alignment and OOD detection, for a hand-made model with known predictions."""

import dataclasses
import re

import numpy as np
import pytest
import small_model as case
import tensorflow as tf
from scipy import special

from multimodal_tf.config import (
    BooleanInput,
    ClassificationHead,
    Config,
    DateInput,
    MatchingHead,
    NumberInput,
    RegressionHead,
    TextInput,
    VideoInput,
)
from multimodal_tf.corruptions import corrupted
from multimodal_tf.data.preprocessor import Preprocessor
from multimodal_tf.evaluation import ood_samples, ood_scores
from multimodal_tf.evaluation.agreement import Aligned, aligned
from multimodal_tf.evaluation.eval_split import EvalSplit
from multimodal_tf.evaluation.mismatches import AGREEMENT, EMBEDDING_DISTANCE
from multimodal_tf.report.model.alignment import alignment_section
from multimodal_tf.report.model.ood import ood_section
from multimodal_tf.report.page import Bars, HeatMap, Note, Table
from multimodal_tf.schema import Classes, Moments, Schema
from multimodal_tf.scoring.ood import Energy

NAMES, CLASSES, DIM = ("photo", "title", "sound"), 4, 8
PAIRS = {
    "photo_title": ("photo", "title"),
    "title_sound": ("title", "sound"),
    "photo_sound": ("photo", "sound"),
}


def configured(pairs=tuple(PAIRS), head=None):
    heads = {"label": head or ClassificationHead()} | {
        name: MatchingHead(inputs=list(PAIRS[name]), dim=DIM) for name in pairs
    }
    return Config(inputs={name: TextInput() for name in NAMES}, heads=heads)


def vector(cell, name):
    """The embedding of a cell.

    `b"class 2, row 7"` is near the centre of class 2; other words are far from all centres; a
    missing cell is 0.
    """
    if not cell or cell == b"\xff\xfe":
        return np.zeros(DIM)
    random = np.random.default_rng([*cell, *name.encode()])
    if not re.match(rb"class [0-3],", cell):
        return random.normal(0, 3, DIM)
    return np.eye(DIM)[int(cell[6:7])] + random.normal(0, 0.05, DIM)


def model_of(config, probabilities_only=False):
    """The functions `predict` and `embed` of the model."""

    def embed(raw):
        own = {
            name: np.stack([vector(cell, name) for cell in raw[name]]).astype(np.float32)
            for name in NAMES
        }
        return own | {"fused": np.concatenate(list(own.values()), axis=1)}

    def predict(raw):
        own = embed(raw)
        logits = 3 * sum(own[name][:, :CLASSES] for name in NAMES)
        predictions = {"label": np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)}
        if config.heads["label"].target_type == "number":
            predictions["label"] = logits[:, :1]
        for name in PAIRS.keys() & config.heads.keys():
            first, second = (own[one] for one in PAIRS[name])
            ones = np.ones((len(first), 1), np.float32)
            predictions[name] = np.stack(
                [np.concatenate([5 * first, ones], 1), np.concatenate([second, 0.3 * ones], 1)],
                axis=1,
            )
            if probabilities_only:
                predictions[name] = 1 / (1 + np.exp(-(first * second).sum(axis=1)))
        return predictions

    return predict, embed


def eval_split(rows=120, split="test", seed=0, config=None, groups=None, gaps=0.1, **options):
    """A split in which all inputs of a row show its class, and some are missing."""
    config = config or configured()
    predict, embed = model_of(config, **options)
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(rows) % CLASSES)
    present = random.random((rows, 3)) >= gaps
    present[:, 0] |= ~present.any(axis=1)
    raw = {name: np.empty(rows, object) for name in NAMES}
    for index, name in enumerate(NAMES):
        raw[name][:] = [
            f"class {c}, row {r} of {seed}".encode() if present[r, index] else b""
            for r, c in enumerate(labels)
        ]
    classes = Classes(names=list("abcd"), counts=[5] * CLASSES)
    stats = Moments(mean=0.0, std=1.0) if config.heads["label"].target_type == "number" else classes
    return EvalSplit(
        config=config,
        schema=Schema(rows=20, inputs={}, heads={"label": stats}),
        split=split,
        head="label",
        rows=np.arange(rows) + 1000 * seed,
        raw=raw,
        present=present,
        groups=groups,
        labels=labels if stats is classes else labels.astype(float),
        known=np.ones(rows, bool),
        predictions=predict(raw),
        embeddings=embed(raw),
        table=None,
        predict=predict,
        embed=embed,
        train=None
        if split != "test"
        else eval_split(rows, "train", seed + 1, config, gaps=gaps, **options),
        validation=None
        if split != "test"
        else eval_split(rows, "validation", seed + 2, config, gaps=gaps, **options),
    )


@pytest.fixture(scope="module")
def whole():
    return eval_split()


def cells(section, title):
    """A table of the section as a dict by its texts, of dicts by its numbers' columns."""
    table = next(
        block
        for block in section.section.blocks
        if isinstance(block, Table) and title in block.title
    )
    texts = [index for index, column in enumerate(table.columns) if column.kind == "text"]
    names = [column.name for column in table.columns if column.kind == "number"]
    return {
        tuple(row[index] for index in texts): dict(
            zip(names, (x for p, x in enumerate(row) if p not in texts))
        )
        for row in table.rows
    }


def notes(section):
    return " ".join(block.text for block in section.section.blocks if isinstance(block, Note))


# --- alignment


@pytest.fixture(scope="module")
def alignment(whole):
    return alignment_section(whole, resamples=50, seed=0)


def test_exchanged_inputs_are_detected_and_identified(alignment):
    for name in NAMES:
        metrics = cells(alignment, "by score")[name, AGREEMENT]
        assert metrics["AUROC"].value == 1
        assert metrics["FPR at 95 % TPR"].value == 0
        rates = cells(alignment, "At a false positive rate")[(name,)]
        assert rates["detected"].value == 1
        assert rates["false positive rate"].value < 0.15
        assert rates["odd one out found"].value == 1
        # rows with three inputs, rows with two
        assert 60 < rates["odd one out found"].n < metrics["AUROC"].n <= 120


def test_baselines_are_shown_too(alignment):
    found = cells(alignment, "by score")
    assert {score for _, score in found} == {
        AGREEMENT,
        EMBEDDING_DISTANCE,
        ood_scores.SOFTMAX,
        ood_scores.MAHALANOBIS,
    }
    assert all(
        metrics["AUROC"].low <= metrics["AUROC"].value <= metrics["AUROC"].high
        for metrics in found.values()
    )


def test_a_sentence_summarises_the_result(alignment):
    assert "AUROC of 1.000" in alignment.sentences[0]
    assert next(
        block for block in alignment.section.blocks if isinstance(block, Bars)
    ).bars.keys() == set(NAMES)


def test_a_mismatch_is_of_another_class_and_another_group(whole):
    """Another row of the same class would be no mismatch; nor would a near-duplicate."""
    met = []

    def spy(raw):
        met.append(raw)
        return whole.predict(raw)

    # classes 0 and 1 are one group
    groups = np.where(whole.labels < 2, 0, np.arange(120))
    alignment_section(dataclasses.replace(whole, predict=spy, groups=groups), 0, 0)
    assert len(met) == 3
    for name, raw in zip(NAMES, met):
        for changed, beside in zip(raw[name], raw[NAMES[NAMES.index(name) - 1]]):
            if beside:
                assert changed[6:7] != beside[6:7]
                assert {changed[6:7], beside[6:7]} != {b"0", b"1"}


def test_intervals_draw_groups_as_a_whole():
    """Near-duplicates add no certainty: with each row six times, in a group, the interval is that
    of the rows alone.
    """
    random = np.random.default_rng(0)
    clean, other = random.normal(size=30), random.normal(0.5, size=30)
    alone, _ = ood_scores.paired_separation(clean, other, None, 200, 0)
    groups = np.arange(30).repeat(6)
    together, _ = ood_scores.paired_separation(clean.repeat(6), other.repeat(6), groups, 200, 0)
    apart, _ = ood_scores.paired_separation(clean.repeat(6), other.repeat(6), None, 200, 0)
    assert (together.value, together.low, together.high) == pytest.approx(
        (alone.value, alone.low, alone.high)
    )
    assert apart.high - apart.low < 0.6 * (together.high - together.low)


def test_an_interval_holds_its_figure_where_each_row_changed_a_little():
    """A resample compares a row with its own change more often than the rows do, so all of its
    AUROCs are above that of the rows.
    """
    clean = np.arange(300.0)
    metric, _ = ood_scores.paired_separation(clean, clean + 0.5, None, 200, 0)
    assert metric.low <= metric.value <= metric.high


def test_without_a_matching_head_there_are_baselines_only(whole):
    section = alignment_section(eval_split(config=configured(())), 0, 0)
    assert "No head of this model aligns inputs" in notes(section)
    assert {score for _, score in cells(section, "by score")} == {
        EMBEDDING_DISTANCE,
        ood_scores.SOFTMAX,
        ood_scores.MAHALANOBIS,
    }
    assert not any(
        "At a false positive rate" in getattr(block, "title", "")
        for block in section.section.blocks
    )


def test_a_served_model_with_probabilities_only():
    section = alignment_section(eval_split(probabilities_only=True), 0, 0)
    assert cells(section, "by score")["title", AGREEMENT]["AUROC"].value > 0.95


def test_too_few_validation_rows_for_a_threshold(whole):
    section = alignment_section(
        dataclasses.replace(whole, validation=eval_split(8, "validation")), 0, 0
    )
    assert (
        "needs 19 rows or more"
        in cells(section, "At a false positive rate")[("title",)]["detected"].reason
    )
    section = alignment_section(dataclasses.replace(whole, validation=None), 0, 0)
    assert (
        "no validation split"
        in cells(section, "At a false positive rate")[("title",)]["detected"].reason
    )


def test_without_rows_to_exchange_there_is_a_note(whole):
    one = Config(inputs={"title": TextInput()}, heads={"label": ClassificationHead()})
    assert "one input, title" in notes(
        alignment_section(dataclasses.replace(whole, config=one), 0, 0)
    )
    # then any other row's cell will do
    same = dataclasses.replace(whole, labels=np.zeros(120, int))
    assert cells(alignment_section(same, 0, 0), "by score")["title", AGREEMENT]["AUROC"].value > 0.7
    assert "A mismatch needs two rows" in notes(alignment_section(eval_split(1), 0, 0))


def test_a_chain_of_pairs_does_not_identify_the_odd_one_out():
    cosines = np.array([[0.9, 0.1], [0.9, 0.1]])
    assert Aligned(
        cosines, np.ones((2, 2), bool), (("a", "b"), ("b", "c"))
    ).odd_one_out().tolist() == [-1, -1]
    ring = Aligned(
        np.array([[0.9, 0.1, 0.2], [0.9, 0.1, 0.2]]),
        np.array([[1, 1, 1], [1, 1, 0]], bool),
        (("a", "b"), ("b", "c"), ("a", "c")),
    )
    assert [ring.names[index] if index >= 0 else None for index in ring.odd_one_out()] == [
        "c",
        None,
    ]


def test_the_columns_of_one_tower_are_one_input():
    config = Config(
        inputs={"title": TextInput(), "price": NumberInput(), "size": NumberInput()},
        tabular={"type": "mlp"},
        heads={"match": MatchingHead(inputs=["title", "tabular"]), "label": ClassificationHead()},
    )
    predictions = aligned({"match": np.ones((3, 2, 4))}, [[1, 0, 1], [1, 0, 0], [0, 1, 1]], config)
    assert predictions.known[:, 0].tolist() == [True, False, False]
    assert config.vector_inputs() == {"title": ["title"], "tabular": ["price", "size"]}


# --- OOD rows


@pytest.fixture(scope="module")
def ood(whole):
    return ood_section(whole, resamples=50, seed=0)


def test_other_data_is_detected_and_its_source_identified(whole, ood):
    found = cells(ood, "by score")
    for kind in ("other data in all inputs", *(f"other data as {name}" for name in NAMES)):
        assert found[kind, ood_scores.MAHALANOBIS]["AUROC"].value > 0.95
    # of the rows that have that input
    for index, name in enumerate(NAMES):
        assert (
            found[f"other data as {name}", ood_scores.MAHALANOBIS]["AUROC"].n
            == whole.present[:, index].sum()
        )
    assert (
        found["other data in all inputs", ood_scores.MAHALANOBIS]["above the threshold"].value
        > 0.95
    )
    heat = next(block for block in ood.section.blocks if isinstance(block, HeatMap))
    values = np.array(heat.values)
    assert list(heat.rows) == list(heat.columns) == list(NAMES)
    assert np.diag(values).sum() == values.sum() > 300


def test_each_kind_of_ood_row_has_every_score(ood):
    found = cells(ood, "by score")
    assert {score for _, score in found} == {
        ood_scores.MAHALANOBIS,
        ood_scores.NEAREST,
        ood_scores.ENERGY,
        ood_scores.SOFTMAX,
    }
    # damaged, three inputs, all, broken
    assert len({kind for kind, _ in found}) == 6
    for metrics in found.values():
        assert metrics["AUROC"].low <= metrics["AUROC"].value <= metrics["AUROC"].high


def test_clean_rows_are_rarely_false_positives(ood):
    for metrics in cells(ood, "on clean rows").values():
        assert metrics["false positive rate"].value < 0.15


def test_a_row_without_any_input_is_scored(ood):
    assert "A row without any input has a" in notes(ood)
    assert "always marks it for review" in notes(ood)
    assert "AUROC" in ood.sentences[0]


def test_rows_of_another_data_set(whole):
    raw = {name: np.array([b"of another world"] * 7 + [b""], object) for name in NAMES}
    other = dataclasses.replace(
        eval_split(8), raw=raw, present=np.array([[True] * 3] * 7 + [[False] * 3])
    )
    metrics = cells(ood_section(whole, 20, 0, other), "by score")[
        "rows of another data set", ood_scores.MAHALANOBIS
    ]
    assert metrics["AUROC"].value == 1
    assert metrics["AUROC"].n == 7


def test_the_same_seed_gives_the_same_metrics(whole, ood):
    assert cells(ood_section(whole, 50, 0), "by score") == cells(ood, "by score")


def test_without_training_rows_no_distance_is_fitted(whole):
    section = ood_section(dataclasses.replace(whole, train=None), 0, 0)
    assert {score for _, score in cells(section, "by score")} == {
        ood_scores.ENERGY,
        ood_scores.SOFTMAX,
    }
    assert "no distance can be fitted" in notes(section)
    section = ood_section(
        dataclasses.replace(
            whole, embeddings={}, train=dataclasses.replace(whole.train, embeddings={})
        ),
        0,
        0,
    )
    assert {score for _, score in cells(section, "by score")} == {
        ood_scores.ENERGY,
        ood_scores.SOFTMAX,
    }


def test_a_head_of_numbers_has_distances_only():
    of_numbers = eval_split(config=configured((), RegressionHead()))
    section = ood_section(of_numbers, 0, 0)
    assert {score for _, score in cells(section, "by score")} == {
        ood_scores.MAHALANOBIS,
        ood_scores.NEAREST,
    }
    assert "does not choose one class" in notes(section)
    assert "there is no score" in notes(
        ood_section(dataclasses.replace(of_numbers, train=None), 0, 0)
    )


def test_without_validation_rows_there_is_no_threshold(whole):
    section = ood_section(dataclasses.replace(whole, validation=None), 0, 0)
    assert all(
        "no validation split" in metrics["above the threshold"].reason
        for metrics in cells(section, "by score").values()
    )


def test_a_split_of_one_row_and_one_without_inputs(whole):
    one = dataclasses.replace(eval_split(1), train=whole.train, validation=whole.validation)
    assert (
        cells(ood_section(one, 10, 0), "by score")[
            "other data in all inputs", ood_scores.MAHALANOBIS
        ]["AUROC"].n
        == 1
    )
    nothing = dataclasses.replace(whole, present=np.zeros((120, 3), bool))
    assert "No row of this split has an input" in notes(ood_section(nothing, 0, 0))


def test_energy_uses_logits_with_a_mean_of_0():
    logits = np.random.default_rng(0).normal(size=(5, 3)) + np.arange(5)[:, None]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    centred = logits - logits.mean(axis=1, keepdims=True)
    assert Energy("label")(probabilities) == pytest.approx(-special.logsumexp(centred, axis=1))


# --- the cells themselves


@pytest.fixture(scope="module")
def every_type():
    """`(config, schema, raw)`: an input of every type, three rows, the last one all missing."""
    more = {
        "clip": VideoInput(frames=2, height=8, width=8),
        "sold": BooleanInput(),
        "day": DateInput(),
    }
    config = Config(inputs=case.CONFIG.inputs | more, heads={"label": ClassificationHead()})
    schema = case.SCHEMA.model_copy(
        update={"inputs": case.SCHEMA.inputs | {"day": Moments(mean=19000.0, std=300.0)}}
    )
    raw = case.raw_rows(3) | {
        "clip": np.array(
            [[case.image_bytes(1), case.image_bytes(2)], [case.image_bytes(3), b""], [b"", b""]],
            object,
        ),
        "sold": np.array([1.0, 0.0, np.nan], np.float32),
        "day": np.array([b"2024-02-29", b"2020-01-01T10:00:00", b""], object),
    }
    for name, good in (
        ("photo", case.image_bytes()),
        ("title", b"a bird"),
        ("sound", case.audio_bytes()),
        ("colour", b"red"),
    ):
        raw[name] = np.array([good, good, b""], object)
    raw["price"] = np.array([1.0, 2.0, np.nan], np.float32)
    return config, schema, raw


def test_ood_cells_are_decoded_and_broken_ones_are_not(every_type):
    """By the preprocessing that training and serving have: three rows of each kind."""
    config, schema, raw = every_type
    given = {}
    for name, part in config.inputs.items():
        stats = schema.inputs.get(name)
        kinds = (
            ood_samples.any_corruption(part, stats),
            ood_samples.other_data(part, stats),
            ood_samples.broken(part),
        )
        changed = [corrupted(raw[name], name, kind, 5, 0, np.arange(3)) for kind in kinds]
        if part.type != "boolean":
            assert not any(np.array_equal(cells[:2], raw[name][:2]) for cells in changed)
        given[name] = tf.constant(
            np.concatenate(changed).tolist(), tf.string if raw[name].dtype == object else tf.float32
        )
    features, errors = Preprocessor(config, schema).features(given)
    predictions = [error.decode() for error in errors.numpy()]
    there = np.stack([features[f"{name}_present"].numpy() > 0 for name in config.inputs], axis=1)
    assert predictions[:6] == [""] * 6
    assert there[[0, 1, 3, 4]].all()
    # the third row of each has no cell; broken ones count as absent
    assert not there[[2, 5, 6, 7, 8]].any()
    assert all(f"{name}: " in error for error in predictions[6:8] for name in config.inputs)
