"""Search spaces: YAML and Python, conditional fields, and what is refused."""

import pytest
import yaml

from multimodal_tf.config import (
    ClassificationHead,
    Config,
    ConvTower,
    ImageInput,
    TextInput,
    ViTTower,
)
from multimodal_tf.config.search_space import Choice, Float, Int, Space

CONFIG = Config(
    inputs={"photo": ImageInput(), "title": TextInput()}, heads={"label": ClassificationHead()}
)
YAML = """
inputs:
  photo: {type: image, height: 32, width: 32}
  title: {type: text, tokenizer: {type: {choice: [words, characters]}}}
heads:
  label: {type: classification, label_smoothing: {float: [0, 0.3]}}
fusion:
  choice:
    - {type: concatenation, hidden: {choice: [[], [32, 16]]}}
    - type: gated
      dim: {int: [16, 64], step: 2, sampling: log}
      dropout: {choice: [0, 0.5]}
training:
  learning_rate: {float: [1e-4, 1e-2], sampling: log}
peft: {choice: [null, {train: heads}]}
"""


def write(path, text):
    path.write_text(text)
    return path


@pytest.fixture
def space(tmp_path):
    return Space.load(write(tmp_path / "space.yaml", YAML))


def test_every_choice_and_range_is_a_field_under_its_path(space):
    assert {field.name: field.domain for field in space.fields()} == {
        "inputs.title.tokenizer.type": Choice(["words", "characters"]),
        "heads.label.label_smoothing": Float(0, 0.3),
        "fusion": Choice(space.tree["fusion"].options),
        "fusion.concatenation.hidden": Choice([[], [32, 16]]),
        "fusion.gated.dim": Int(16, 64, 2, "log"),
        "fusion.gated.dropout": Choice([0, 0.5]),
        "training.learning_rate": Float(1e-4, 1e-2, None, "log"),
        "peft": Choice([None, {"train": "heads"}]),
    }


def test_a_field_within_an_option_is_active_if_the_option_is_chosen(space):
    conditions = {field.name: field.conditions for field in space.fields() if field.conditions}
    gated, concatenation = (("fusion", "gated"),), (("fusion", "concatenation"),)
    assert conditions == {
        "fusion.concatenation.hidden": concatenation,
        "fusion.gated.dim": gated,
        "fusion.gated.dropout": gated,
    }


def test_a_field_follows_those_that_it_depends_on(space):
    names = [field.name for field in space.fields()]
    assert all(
        names.index(parent) < names.index(field.name)
        for field in space.fields()
        for parent, _ in field.conditions
    )


def test_values_make_a_configuration(space):
    values = {field.name: "?" for field in space.fields()}
    values |= {
        "inputs.title.tokenizer.type": "characters",
        "heads.label.label_smoothing": 0.2,
        "training.learning_rate": 0.002,
    }
    config = space.config(
        values
        | {
            "fusion": "concatenation",
            "fusion.concatenation.hidden": "[32,16]",
            "peft": '{"train":"heads"}',
        }
    )
    assert (config.fusion.type, config.fusion.hidden) == ("concatenation", [32, 16])
    assert config.inputs["title"].tokenizer.type == "characters"
    assert (config.training.learning_rate, config.heads["label"].label_smoothing) == (0.002, 0.2)
    assert config.peft.train == "heads"


def test_the_default_configuration_has_first_options_and_lowest_values(space):
    first = space.default_config()
    assert (first.fusion.type, first.fusion.hidden, first.peft, first.training.learning_rate) == (
        "concatenation",
        [],
        None,
        1e-4,
    )


def test_variants_have_each_option_once(space):
    found = [
        (config.fusion.type, getattr(config.fusion, "dim", None)) for config in space.variants()
    ]
    assert found.count(("gated", 64)) == 1
    # the option itself, and its dropout 0.5
    assert found.count(("gated", 16)) == 2


def test_yaml_round_trip(space, tmp_path):
    again = Space.load(write(tmp_path / "again.yaml", space.to_yaml()))
    assert again.tree == space.tree


def test_python_equals_yaml(space):
    tree = yaml.safe_load(YAML)
    tree["fusion"] = Choice(
        [
            {"type": "concatenation", "hidden": Choice([[], [32, 16]])},
            {
                "type": "gated",
                "dim": Int(16, 64, step=2, sampling="log"),
                "dropout": Choice([0, 0.5]),
            },
        ]
    )
    tree["training"] = {"learning_rate": Float(1e-4, 1e-2, sampling="log")}
    assert Space(tree).tree == space.tree


def test_sections_of_the_configuration_are_options():
    space = Space.from_config(
        CONFIG,
        {"inputs.photo.tower": Choice([ConvTower(filters=[8]), ViTTower(), ViTTower(depth=1)])},
    )
    [field] = space.fields()
    assert field.domain.labels == ("cnn", "vit", "vit-2")
    assert space.config({"inputs.photo.tower": "vit-2"}).inputs["photo"].tower.depth == 1


@pytest.mark.parametrize(
    ("options", "labels"),
    [
        ([1, 2], (1, 2)),
        ([0, 0.5], (0.0, 0.5)),
        (["a", "b"], ("a", "b")),
        ([True, False], ("true", "false")),
        ([None, "null"], ("null", '"null"')),
        ([None, 8], ("null", "8")),
        ([[8], [8, 16]], ("[8]", "[8,16]")),
        ([{"type": "sum"}, {"type": "sum", "dim": 8}], ("sum", "sum-2")),
    ],
)
def test_options_have_labels_that_keras_tuner_takes(options, labels):
    assert Choice(options).labels == labels
    assert len({type(label) for label in labels}) == 1


def test_an_input_may_be_called_choice():
    config = Config(
        inputs={"choice": TextInput(), "int": TextInput()}, heads={"label": ClassificationHead()}
    )
    assert Space.from_config(
        config, {"training.epochs": Int(1, 3)}
    ).default_config().inputs.keys() == {
        "choice",
        "int",
    }


def test_an_option_that_breaks_a_rule_between_fields_fails_in_its_trial():
    fusion = {"type": "self_attention", "dim": 32, "heads": Choice([4, 5])}
    space = Space.from_config(CONFIG, {"fusion": Choice([{"type": "sum"}, fusion])})
    assert [config.fusion.type for config in space.variants()] == ["sum", "self_attention"]
    with pytest.raises(ValueError, match="heads must divide"):
        space.config({"fusion": "self_attention", "fusion.self_attention.heads": 5})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "must have a field with a choice or a range"),
        ({"training.learning_rte": Choice([1e-3, 1e-2])}, "training.learning_rte"),
        ({"train.learning_rate": Choice([1e-3, 1e-2])}, "'train.learning_rate'"),
        (
            {"fusion": Choice([{"type": "sum"}, {"type": "sum", "width": 8}])},
            "fusion.width: Extra inputs",
        ),
        (
            {"fusion": Choice([{"type": "sum"}, {"type": "product", "dim": Choice([8, -8])}])},
            "fusion.product.dim with -8",
        ),
        ({"fusion.dropout": Float(0, 1)}, "fusion.dropout with 1"),
        ({"training.epochs": Choice(["few", "many"])}, "first options must make a configuration"),
        (
            {"training": {"learning_rate": {"float": [0.1]}}},
            r"training.learning_rate: float must be \[low, high\], received \[0.1\]",
        ),
        (
            {"training": {"learning_rate": {"float": [1, 0.1]}}},
            r"low below high, received \[1, 0.1\]",
        ),
        (
            {"training": {"learning_rate": {"float": [0, 0.1], "sampling": "log"}}},
            "sampling log must begin above 0, received 0",
        ),
        (
            {"training": {"epochs": {"int": [1, 2.5]}}},
            r"int must be \[low, high\].*received \[1, 2.5\]",
        ),
        (
            {"training": {"epochs": {"int": [1, 9], "sampling": "cubic"}}},
            "sampling must be linear, log, reverse_log, received 'cubic'",
        ),
        ({"training": {"epochs": {"int": [1, 9], "step": 0}}}, "step must be above 0"),
        (
            {"training": {"epochs": {"choice": [3]}}},
            r"training.epochs: choice must have two options or more, received \[3\]",
        ),
        ({"training": {"epochs": {"choice": [3, 4, 3]}}}, "each option once, received 3 twice"),
    ],
    ids=str,
)
def test_a_wrong_space_is_refused_in_one_sentence(fields, message):
    with pytest.raises(ValueError, match=message) as refused:
        Space.from_config(CONFIG, fields)
    assert "\n" not in str(refused.value)


def test_errors_name_the_file(tmp_path):
    for text in ("[1, 2", "just words", "inputs: {}\n"):
        with pytest.raises(ValueError, match="space.yaml"):
            Space.load(write(tmp_path / "space.yaml", text))
