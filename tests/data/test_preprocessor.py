"""Batches of cells to tensors: shapes, gaps, and one broken cell among valid ones."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from media import audio_bytes, pixels_of, random_image, samples_of
from PIL import Image

from multimodal_tf.config import (
    AudioInput,
    CategoryInput,
    ClassificationHead,
    Config,
    ImageInput,
    NumberInput,
    TextInput,
)
from multimodal_tf.data.kinds import kind_of
from multimodal_tf.data.preprocessor import Preprocessor
from multimodal_tf.schema import Classes, Moments, Schema, Vocabulary

CONFIG = Config(
    inputs={
        "photo": ImageInput(height=6, width=8, max_pixels=1000),
        "title": TextInput(max_tokens=3),
        "clip": AudioInput(sample_rate=4000, seconds=0.1),
        "price": NumberInput(),
        "kind": CategoryInput(),
    },
    heads={"label": ClassificationHead()},
)
SCHEMA = Schema(
    rows=4,
    inputs={
        "title": Vocabulary(words=["cat", "猫"]),
        "price": Moments(mean=2.5, std=1.0),
        "kind": Vocabulary(words=["red", "blue"]),
    },
    heads={"label": Classes(names=["a", "b"], counts=[2, 2])},
)


def png(seed):
    return random_image(seed, size=(9, 7))


def wav(seed):
    samples = np.random.default_rng(seed).uniform(-0.5, 0.5, 300)
    return audio_bytes(samples, CONFIG.inputs["clip"].sample_rate)


# traced once for all tests
@functools.cache
def preprocessor():
    return Preprocessor(CONFIG, SCHEMA)


def raw(rows=4):
    return {
        "photo": tf.constant([png(row) for row in range(rows)], tf.string),
        "title": tf.constant(
            ["Cat!", "猫 dog cat cat", "new", "cat"][:rows] + ["cat"] * (rows - 4), tf.string
        ),
        "clip": tf.constant([wav(row) for row in range(rows)], tf.string),
        "price": tf.range(rows, dtype=tf.float64),
        "kind": tf.constant(
            ["red", " blue ", "green", "red"][:rows] + ["red"] * (rows - 4), tf.string
        ),
    }


def with_cell(cells, name, row, value):
    return cells | {
        name: tf.tensor_scatter_nd_update(
            cells[name], [[row]], tf.constant([value], cells[name].dtype)
        )
    }


def arrays(features):
    return {name: tensor.numpy() for name, tensor in features.items()}


def assert_same(left, right):
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


def test_raw_spec():
    spec = preprocessor().raw_spec
    assert {name: (one.dtype, one.name) for name, one in spec.items()} == {
        "photo": (tf.string, "photo"),
        "title": (tf.string, "title"),
        "clip": (tf.string, "clip"),
        "price": (tf.float64, "price"),
        "kind": (tf.string, "kind"),
    }
    assert all(one.shape.as_list() == [None] for one in spec.values())


def test_values():
    features, errors = preprocessor().features(raw())
    assert errors.numpy().tolist() == [b""] * 4
    found = arrays(features)
    for row in range(4):
        whole = Image.fromarray(pixels_of(png(row)).astype(np.uint8))
        pixels = np.asarray(whole.resize((8, 6), Image.Resampling.BILINEAR), np.int32)
        assert np.abs(pixels - found["photo"][row]).mean() < 3
        samples, _ = samples_of(wav(row), dtype="int16")
        np.testing.assert_array_equal(found["clip"][row], np.pad(samples, (0, 100)))
    assert found["title"].tolist() == [[2, 0, 0], [3, 1, 2], [1, 0, 0], [2, 0, 0]]
    assert found["price"].tolist() == [0, 1, 2, 3]
    assert found["kind"].tolist() == [1, 2, 0, 1]
    assert {found[f"{name}_present"].tolist() == [1] * 4 for name in CONFIG.inputs} == {True}


def test_shapes_and_types():
    for rows in (0, 1, 3):
        features, errors = preprocessor().features(
            raw(rows) if rows else {name: cells[:0] for name, cells in raw().items()}
        )
        assert {
            name: (tensor.dtype, tensor.shape.as_list())
            for name, tensor in features.items()
            if name in CONFIG.inputs
        } == {
            "photo": (tf.uint8, [rows, 6, 8, 3]),
            "title": (tf.int32, [rows, 3]),
            "clip": (tf.int16, [rows, 400]),
            "price": (tf.float32, [rows]),
            "kind": (tf.int32, [rows]),
        }
        assert all(features[f"{name}_present"].shape == (rows,) for name in CONFIG.inputs)
        assert errors.shape == (rows,)


def test_model_inputs():
    features, _ = preprocessor().features(raw())
    inputs = preprocessor().model_inputs(features)
    assert list(inputs) == [key for name in CONFIG.inputs for key in (name, f"{name}_present")]
    np.testing.assert_allclose(inputs["photo"], features["photo"].numpy() / 255, rtol=1e-6)
    np.testing.assert_array_equal(inputs["clip"], features["clip"].numpy() / np.float32(32768))
    assert {tensor.dtype for name, tensor in inputs.items() if name not in ("title", "kind")} == {
        tf.float32
    }
    plain = Config.model_validate(CONFIG.model_dump() | {"fusion": {"presence": False}})
    assert list(Preprocessor(plain, SCHEMA).model_inputs(features)) == list(CONFIG.inputs)


def test_missing_is_absent_and_no_error():
    for row, gap in enumerate(["", "", " \t\u3000", ""]):
        cells = raw()
        for name in CONFIG.inputs:
            cells = with_cell(
                cells,
                name,
                row,
                float("nan") if name == "price" else gap if name in ("title", "kind") else "",
            )
        features, errors = preprocessor().features(cells)
        assert errors.numpy().tolist() == [b""] * 4
        found = arrays(features)
        for name in CONFIG.inputs:
            assert found[f"{name}_present"].tolist() == [float(other != row) for other in range(4)]
            assert (found[name][row] == (2.5 if name == "price" else 0)).all()


@functools.cache
def _features_of_64():
    return arrays(preprocessor().features(raw(64))[0])


def features_of_64():
    return {name: array.copy() for name, array in _features_of_64().items()}


BROKEN = [
    ("photo", b"junk", b"photo: not a JPEG"),
    ("photo", png(0)[:150], b"photo: damaged image"),
    ("photo", random_image(size=(40, 30)), b"photo: 40 x 30 pixels, more than the limit of 1000"),
    ("clip", b"<html>", b"clip: not a WAV"),
    ("title", b"caf\xe9", b"title: invalid UTF-8"),
    ("kind", b"\xff", b"kind: invalid UTF-8"),
    ("price", float("inf"), b"price: not a finite number"),
    ("price", -3e38, b"price: larger than 2^64"),
]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    BROKEN,
    ids=[f"{name}-{reason.decode()}" for name, _, reason in BROKEN],
)
def test_one_broken_cell_of_64_leaves_the_rest_untouched(name, value, reason):
    features, errors = preprocessor().features(with_cell(raw(64), name, 37, value))
    expected = features_of_64()
    expected[f"{name}_present"][37] = 0
    expected[name][37] = 2.5 if name == "price" else 0
    assert_same(arrays(features), expected)
    assert errors.numpy()[37].startswith(reason)
    assert set(np.delete(errors.numpy(), 37)) == {b""}


def test_several_broken_cells_of_a_row_are_all_named():
    cells = with_cell(
        with_cell(with_cell(raw(), "photo", 2, b"junk"), "price", 2, float("inf")),
        "title",
        1,
        b"\xff",
    )
    _, errors = preprocessor().features(cells)
    assert errors.numpy()[0] == errors.numpy()[3] == b""
    assert errors.numpy()[1] == b"title: invalid UTF-8"
    first, second = errors.numpy()[2].split(b"; ")
    assert first.startswith(b"photo: not a")
    assert second == b"price: not a finite number"


def test_punctuation_only_is_one_unknown_word():
    features, errors = preprocessor().features(with_cell(raw(), "title", 0, b"?!"))
    assert errors.numpy()[0] == b""
    assert features["title_present"].numpy()[0] == 1
    assert features["title"].numpy()[0].tolist() == [1, 0, 0]


def test_the_same_in_a_dataset_in_a_function_and_in_a_saved_model(tmp_path):
    """Of files and texts, the tests of their decoders, of tokenizers and of export say it."""
    config = CONFIG.model_copy(
        update={"inputs": {name: CONFIG.inputs[name] for name in ("price", "kind")}}
    )
    small = Preprocessor(config, SCHEMA)
    cells = {name: with_cell(raw(), "kind", 1, b"\xff")[name] for name in config.inputs}
    expected, errors = small.features(cells)
    assert errors.numpy().tolist() == [b"", b"kind: invalid UTF-8", b"", b""]
    module = tf.Module()
    # tracks the lookup tables
    module.preprocessor = small
    module.features = tf.function(small.features, input_signature=[small.raw_spec])
    tf.saved_model.save(module, str(tmp_path))
    for features, found in (
        module.features(cells),
        tf.data.Dataset.from_tensors(cells).map(small.features).get_single_element(),
        tf.saved_model.load(str(tmp_path)).features(cells),
    ):
        assert_same(arrays(features), arrays(expected))
        assert found.numpy().tolist() == errors.numpy().tolist()


def test_numpy_and_lists_will_do():
    cells = {name: values.numpy() for name, values in raw().items()}
    features, _ = preprocessor().features(
        cells | {"price": [0, 1, 2, 3], "title": [b"cat"] * 4, "unused": 1}
    )
    assert features["price"].numpy().tolist() == [0, 1, 2, 3]


def test_a_schema_without_the_input_is_refused():
    with pytest.raises(ValueError, match="inputs.title"):
        Preprocessor(CONFIG, SCHEMA.model_copy(update={"inputs": {}}))


_bytes = st.one_of(
    st.binary(max_size=60),
    st.tuples(
        st.sampled_from([png(1), wav(1)]), st.integers(0, 250), st.binary(min_size=1, max_size=8)
    ).map(lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] + len(parts[2]) :]),
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(_bytes, _bytes, _bytes, _bytes, st.floats(width=32)), min_size=1, max_size=4
    ),
    st.integers(0, 4),
)
def test_random_bytes_never_fail_and_never_touch_another_row(rows, index):
    index = min(index, len(rows))
    hostile = {
        name: [row[number] for row in rows]
        for number, name in enumerate(["photo", "title", "clip", "kind", "price"])
    }
    valid = {name: cells.numpy().tolist()[0] for name, cells in raw(1).items()}
    cells = {
        name: tf.constant(
            values[:index] + [valid[name]] + values[index:],
            tf.float64 if name == "price" else tf.string,
        )
        for name, values in hostile.items()
    }
    features, errors = preprocessor().features(cells)
    assert_same(
        {name: array[index : index + 1] for name, array in arrays(features).items()},
        {name: array[:1] for name, array in features_of_64().items()},
    )
    assert errors.numpy()[index] == b""
    for name in CONFIG.inputs:
        present = features[f"{name}_present"].numpy()
        for row in range(len(rows) + 1):
            broken = f"{name}: ".encode() in errors.numpy()[row]
            assert not (broken and present[row])
            assert present[row] or name == "price" or not features[name].numpy()[row].any()


# --- what ingest calls broken


def test_sound_cells_have_no_problem():
    for name, cells in raw().items():
        found = {kind_of(CONFIG.inputs[name]).problem(cell) for cell in cells.numpy().tolist()}
        assert found == {""}


def test_missing_is_no_problem():
    for name, input_config in CONFIG.inputs.items():
        assert kind_of(input_config).problem(float("nan") if name == "price" else b"") == ""


def test_the_reason_is_the_graphs():
    for name, value, _ in BROKEN:
        _, errors = preprocessor().features(with_cell(raw(), name, 0, value))
        assert (
            f"{name}: {kind_of(CONFIG.inputs[name]).problem(value)}".encode() == errors.numpy()[0]
        )


def test_the_answer_does_not_depend_on_what_came_before():
    photo, good = kind_of(CONFIG.inputs["photo"]), png(0)
    cells = [good, good[:150], good]
    assert [photo.problem(cell) for cell in cells] == ["", "damaged image", ""]
