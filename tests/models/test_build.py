"""The whole model: names, the classic graph, seeds, saving, and contradictory settings."""

import concurrent.futures
import io
import random
import re
import shutil

import contract
import keras
import numpy as np
import pytest
from keras import layers
from small_fusions import ALL, HEADS, WHOLE

from multimodal_tf.config import (
    BagTower,
    ClassificationHead,
    ConcatenationFusion,
    Config,
    ConvTower,
    ImageInput,
    LSTMTower,
    MultiLabelHead,
    NumberInput,
    RegressionHead,
    TextInput,
)
from multimodal_tf.models import build_model, build_towers, embeddings
from multimodal_tf.schema import Classes, Moments, Schema, Vocabulary


def built(config):
    return build_model(config, contract.schema_of(config))


def test_inputs_and_outputs_have_the_names_of_the_configuration():
    model = built(WHOLE)
    assert set(model.input) == {*ALL, *(f"{name}_present" for name in ALL)}
    assert {name: x.dtype for name, x in model.input.items() if name in ("title", "colour")} == {
        "title": "int32",
        "colour": "int32",
    }
    assert all(
        x.dtype == "float32" for name, x in model.input.items() if name not in ("title", "colour")
    )
    assert set(model.output) == set(HEADS)
    for name in ALL:
        assert model.get_layer(f"{name}_embedding").output.shape[0] is None
    inner = [layer.name for layer in model.layers if layer.weights]
    assert all(name.startswith((*(f"{name}_" for name in ALL), "fused", *HEADS)) for name in inner)


def test_without_presence_there_are_no_flags():
    config = WHOLE.model_copy(
        update={"fusion": ConcatenationFusion(hidden=[8], dropout=0, presence=False)}
    )
    model = built(config)
    assert set(model.input) == set(ALL)
    assert not [layer for layer in model.layers if "ZeroWhereMissing" in type(layer).__name__]
    assert set(embeddings(model)(contract.rows_of(config, 2))) == {*ALL, "fused"}


CLASSIC = Config(
    inputs={
        "photo": ImageInput(
            height=64,
            width=64,
            tower=ConvTower(
                filters=[32],
                kernel_size=3,
                padding="valid",
                batch_normalization=False,
                pooling="flatten",
                dim=None,
            ),
        ),
        "title": TextInput(max_tokens=20, tower=LSTMTower(embedding_dim=64, units=128)),
    },
    heads={"label": ClassificationHead()},
    fusion=ConcatenationFusion(presence=False, hidden=[256], dropout=0),
)


def classic_by_hand(words, classes):
    photo = keras.Input((64, 64, 3))
    title = keras.Input((20,), dtype="int32")
    x = layers.Conv2D(32, 3, activation="relu")(photo)
    x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    y = layers.Embedding(words + 2, 64, mask_zero=True)(title)
    y = layers.LSTM(128)(y)
    z = layers.Concatenate()([x, y])
    z = layers.Dense(256, activation="relu")(z)
    return keras.Model(
        [photo, title], layers.Dense(classes, activation="softmax")(z), name="multimodal"
    )


def described(model):
    """The lines of `summary`, and each layer's class and configuration, all without names.

    Numbers replace the names of the layers.
    """
    text = io.StringIO()
    model.summary(line_length=200, print_fn=lambda line, line_break=True: text.write(line + "\n"))
    numbers = {operation.name: f"#{number}" for number, operation in enumerate(model.operations)}
    names = "|".join(sorted(map(re.escape, numbers), key=len, reverse=True))
    lines = re.sub(rf"\b({names})\b", lambda match: numbers[match[0]], text.getvalue()).splitlines()
    return [" ".join(line.split()) for line in lines], [
        (type(layer), _without_names(layer.get_config())) for layer in model.layers
    ]


def _without_names(config):
    if isinstance(config, dict):
        return {
            key: _without_names(value)
            for key, value in config.items()
            if key not in ("name", "seed")
        }
    return config


def test_the_classic_graph_is_that_written_by_hand(monkeypatch):
    # else Rich cuts the lines at 80
    monkeypatch.setenv("COLUMNS", "200")
    schema = contract.schema_of(CLASSIC)
    ours = described(build_model(CLASSIC, schema))
    reference = described(classic_by_hand(len(schema.inputs["title"].words), 3))
    assert ours == reference
    # connections and parameters are among what was compared: 30,880 x 256 + 256
    for shown in ("#0[0][0]", "7,905,536"):
        assert any(shown in line for line in ours[0])


def test_the_classic_graph_has_its_vectors_by_name():
    small = CLASSIC.model_copy(
        update={
            "inputs": CLASSIC.inputs
            | {"photo": CLASSIC.inputs["photo"].model_copy(update={"height": 8, "width": 8})}
        }
    )
    vectors = embeddings(built(small))(contract.rows_of(small, 2))
    assert {name: vector.shape for name, vector in vectors.items()} == {
        "photo": (2, 288),
        "title": (2, 128),
        "fused": (2, 256),
    }


def test_channels_first_is_refused_in_a_sentence():
    keras.config.set_image_data_format("channels_first")
    try:
        for build in (build_model, build_towers):
            with pytest.raises(ValueError, match="channels_last, received 'channels_first'"):
                build(WHOLE, contract.schema_of(WHOLE))
    finally:
        keras.config.set_image_data_format("channels_last")


class TestSeed:
    def test_the_same_seed_gives_the_same_weights_whatever_was_drawn_before(self):
        first = built(WHOLE).get_weights()
        random.random(), np.random.random()
        keras.utils.set_random_seed(123)
        for one, other in zip(first, built(WHOLE).get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)

    def test_threads_draw_the_weights_of_their_seeds(self):
        def weights(seed):
            return built(WHOLE.model_copy(update={"seed": seed})).get_weights()

        seeds = [7, 8, 7]
        expected = {seed: weights(seed) for seed in {*seeds}}
        with concurrent.futures.ThreadPoolExecutor(len(seeds)) as pool:
            for seed, found in zip(seeds, pool.map(weights, seeds)):
                for one, other in zip(found, expected[seed], strict=True):
                    np.testing.assert_array_equal(one, other)

    def test_another_seed_gives_others(self):
        other = built(WHOLE.model_copy(update={"seed": 8}))
        kernels = [weight.path for weight in other.trainable_weights if "kernel" in weight.path]
        ours = {weight.path: weight.numpy() for weight in built(WHOLE).trainable_weights}
        assert kernels
        assert not [
            weight.path
            for weight in other.trainable_weights
            if weight.path in kernels and np.array_equal(weight, ours[weight.path])
        ]

    def test_other_random_numbers_stay_the_same(self):
        random.seed(5)
        expected = random.random()
        random.seed(5)
        built(WHOLE)
        assert random.random() == expected

    def test_two_towers_of_one_shape_do_not_start_alike(self):
        config = Config(
            inputs={"first": NumberInput(), "second": NumberInput()},
            heads={"cost": RegressionHead()},
        )
        model = built(config)
        assert not np.array_equal(
            model.get_layer("first_vector").kernel, model.get_layer("second_vector").kernel
        )


def test_l2_adds_the_squares_of_the_towers_weights_also_after_loading(tmp_path):
    config = contract.with_input(
        TextInput(
            max_tokens=4,
            tower=LSTMTower(embedding_dim=2, units=3, bidirectional=True, dim=4, l2=0.1),
        )
    )
    model, rows = build_model(config, contract.schema_of(config)), contract.rows_of(config, 3)
    model.save(tmp_path / "model.keras")
    kernels = [
        weight
        for weight in model.trainable_weights
        if weight.path.startswith("probe_") and weight.name in ("kernel", "embeddings")
    ]
    expected = 0.1 * sum(float((kernel.numpy() ** 2).sum()) for kernel in kernels)
    for one in (model, keras.saving.load_model(tmp_path / "model.keras")):
        one(rows)
        assert len(one.losses) == len(kernels) == 4
        np.testing.assert_allclose(sum(one.losses), expected, rtol=1e-5)


def test_a_layer_with_the_name_of_another_input_is_refused():
    words = TextInput(max_tokens=4, tower=LSTMTower(embedding_dim=2, units=3))
    config = Config(
        inputs={"title": words, "title_words": words}, heads={"label": ClassificationHead()}
    )
    with pytest.raises(
        ValueError,
        match=r"^inputs\.title_words: a layer of another input's tower is called so: choose "
        r"another name",
    ):
        build_model(config, contract.schema_of(config))


def test_the_towers_alone_have_the_same_weights_and_losses():
    one = TextInput(max_tokens=4, tower=BagTower(embedding_dim=4, dropout=0, l2=0.1))
    config = contract.with_input(one)
    config.fusion.modality_dropout = 0.3
    model, towers = (
        build_model(config, contract.schema_of(config)),
        build_towers(config, contract.schema_of(config)),
    )
    rows = contract.rows_of(config, 2)
    np.testing.assert_array_equal(towers(rows)["probe"]["vector"], embeddings(model)(rows)["probe"])
    assert len(towers.losses) == 1


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz' dot is not installed")
def test_plot_model(tmp_path):
    keras.utils.plot_model(
        built(WHOLE), tmp_path / "model.png", show_shapes=True, show_layer_names=True
    )
    assert (tmp_path / "model.png").read_bytes().startswith(b"\x89PNG")


NUMBER = {"price": NumberInput()}
SCHEMA = Schema(
    rows=2,
    inputs={"price": Moments(mean=0, std=1)},
    heads={"kind": Classes(names=["a", "b"], counts=[1, 1])},
)


@pytest.mark.parametrize(
    ("inputs", "heads", "schema", "message"),
    [
        (
            {"title": TextInput()},
            HEADS,
            SCHEMA,
            r"inputs\.title: the schema must hold vocabulary for a text, received nothing",
        ),
        (
            NUMBER,
            {"cost": RegressionHead()},
            SCHEMA,
            r"heads\.cost: the schema must hold moments for a regression, received nothing",
        ),
        (
            NUMBER,
            {"kind": RegressionHead()},
            SCHEMA,
            r"heads\.kind: the schema must hold moments for a regression, received classes",
        ),
        (
            NUMBER,
            {"kind": ClassificationHead(column="Art")},
            SCHEMA.model_copy(update={"heads": {"kind": Classes(names=["a"], counts=[2])}}),
            r"heads\.kind: a classification needs 2 or more classes in the training split, "
            r"column 'Art' has \['a'\]",
        ),
        (
            NUMBER,
            {"tags": MultiLabelHead()},
            SCHEMA.model_copy(update={"heads": {"tags": Classes(names=[], counts=[])}}),
            r"heads\.tags: a multi_label needs 1 or more classes in the training split, column "
            r"'tags' has \[\]",
        ),
    ],
)
def test_a_contradiction_is_refused_in_one_sentence(inputs, heads, schema, message):
    with pytest.raises(ValueError, match=message) as error:
        build_model(Config(inputs=inputs, heads=heads), schema)
    assert "\n" not in str(error.value)


def test_empty_vocabularies_still_make_a_model():
    config = Config(
        inputs={"title": ALL["title"], "colour": ALL["colour"]},
        heads={"kind": ClassificationHead()},
    )
    nothing = {name: Vocabulary(words=[]) for name in config.inputs}
    model = build_model(config, contract.schema_of(config).model_copy(update={"inputs": nothing}))
    rows = contract.rows_of(config, 2) | {
        "title": np.array([[1, 1, 0, 0], [0, 0, 0, 0]], "int32"),
        "colour": np.zeros(2, "int32"),
    }
    assert np.isfinite(model(rows)["kind"]).all()
