"""The configuration: round trips, and every fault is one sentence with the field and what was
received.
"""

import copy
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multimodal_tf.config import (
    NAME,
    AudioInput,
    CategoryInput,
    ClassificationHead,
    Config,
    ConvTower,
    GatedFusion,
    ImageInput,
    MultiLabelHead,
    NumberInput,
    RegressionHead,
    TextInput,
)


def full():
    return Config(
        inputs={
            "photo": ImageInput(
                column="Photo 1", tower=ConvTower(filters=[8], pooling="flatten", dim=None)
            ),
            "title": TextInput(column="标题"),
            "sound": AudioInput(seconds=0.5),
            "price": NumberInput(),
            "brand": CategoryInput(),
        },
        heads={
            "kind": ClassificationHead(class_weight={"a": 2.0}),
            "tags": MultiLabelHead(),
            "rating": RegressionHead(weight=0.5),
        },
        seed=7,
    )


@pytest.mark.parametrize("suffix", [".yaml", ".json"])
def test_file_round_trip(tmp_path, suffix):
    path = tmp_path / f"config{suffix}"
    full().save(path)
    assert Config.load(path) == full()
    if suffix == ".json":
        assert json.loads(path.read_text())["inputs"]["title"]["column"] == "标题"


def test_a_name_is_the_column_unless_another_is_given():
    assert [full().column(name) for name in ("photo", "price", "kind")] == [
        "Photo 1",
        "price",
        "kind",
    ]


def test_minimal_yaml_gets_defaults():
    config = Config.from_yaml(
        "inputs: {title: {type: text}}\nheads: {label: {type: classification}}"
    )
    assert config == Config(inputs={"title": TextInput()}, heads={"label": ClassificationHead()})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", ["not YAML", "line 1"]),
        ("[" * 20_000, ["not YAML"]),
        ("3", ["received 3"]),
        ("inputs: {}\nheads: {y: {type: regression}}", ["inputs", "at least 1"]),
        ("inputs: {a: {type: smell}}\nheads: {y: {type: regression}}", ["inputs.a", "smell"]),
        (
            "inputs: {a: {type: text, max_tokens: -3}}\nheads: {y: {type: regression}}",
            ["inputs.a.max_tokens: ", "greater than 0", "-3"],
        ),
        (
            "inputs: {a: {type: text, tower: {type: lstm, units: 0}}}\nheads: {y: {type: "
            "regression}}",
            ["inputs.a.tower.units: ", "received 0"],
        ),
        (
            "inputs: {a: {type: text, tokenizer: {type: words}, tower: {type: preset, preset: "
            "p}}}\nheads: {y: {type: regression}}",
            ["inputs.a: ", "tokenizer must be {type: preset, preset: p}", "received words"],
        ),
        (
            "inputs: {a: {type: text, tokenizer: {type: ngrams, shortest: 4, longest: "
            "3}}}\nheads: {y: {type: regression}}",
            ["inputs.a.tokenizer: ", "shortest must be at most longest (3), received 4"],
        ),
        (
            "inputs: {a: {type: image, tower: {type: application, trainable: false}}}\nheads: "
            "{y: {type: regression}}",
            ["inputs.a.tower: ", "trainable must be true if weights is null"],
        ),
        (
            "inputs: {a: {type: text, colour: red}}\nheads: {y: {type: regression}}",
            ["colour", "Extra inputs"],
        ),
        ("inputs: {a b: {type: text}}\nheads: {y: {type: regression}}", ["'a b'", "column"]),
        ("inputs: {class: {type: text}}\nheads: {y: {type: regression}}", ["'class'", "keyword"]),
        (
            "inputs: {a: {type: text}, a_present: {type: text}}\nheads: {y: {type: regression}}",
            ["two input keys", "'a_present'"],
        ),
        ("inputs: {a: {type: text}}\nheads: {a: {type: regression}}", ["two layers", "'a'"]),
        (
            "inputs: {a: {type: text}}\nheads: {fused: {type: regression}}",
            ["two layers", "'fused'"],
        ),
        (
            "inputs: {a: {type: text}}\nheads: {valid: {type: regression}}",
            ["two head keys", "'valid'"],
        ),
        (
            "inputs: {a: {type: text}}\nheads: {y: {type: regression}}\nsplit: {column: c, "
            "group: g}",
            ["split.column gives the split", "split.group"],
        ),
        (
            "inputs: {a: {type: text}}\nheads: {y: {type: regression}}\nfusion: {presence: "
            "false, modality_dropout: 0.1}",
            ["fusion.modality_dropout needs fusion.presence", "0.1"],
        ),
        (
            "inputs: {a: {type: text}}\nheads: {y: {type: regression}}\nsplit: {test: 0.6, "
            "validation: 0.5}",
            ["leave rows", "0.5 + 0.6"],
        ),
    ],
)
def test_a_fault_is_one_sentence(text, words):
    with pytest.raises(ValueError, match=r"^the configuration is") as error:
        Config.from_yaml(text)
    message = str(error.value)
    assert [word for word in words if word not in message] == []
    assert "\n" not in message


def test_a_fault_in_python_is_one_sentence_when_made_and_when_changed():
    good = Config(inputs={"price": NumberInput()}, heads={"y": ClassificationHead()})
    for make in (lambda: GatedFusion(dim=0), lambda: setattr(GatedFusion(), "dim", 0)):
        with pytest.raises(
            ValueError, match=r"^GatedFusion: dim: Input should be greater than 0, received 0$"
        ):
            make()
    with pytest.raises(
        ValueError,
        match=r"^Config: inputs\.photo\.height: Input should be greater than 0, received 0$",
    ):
        Config(inputs={"photo": {"type": "image", "height": 0}}, heads=good.heads)
    with pytest.raises(
        ValueError, match=r"^Config: heads\.y\.inputs: must name inputs .* received 'photo'$"
    ):
        good.heads = {"y": ClassificationHead(inputs=["photo"])}
    assert pickle.loads(pickle.dumps(good)) == copy.deepcopy(good) == good


def test_a_fault_in_a_file_names_the_file(tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text("inputs: 3")
    with pytest.raises(ValueError, match="wrong.yaml: the configuration is wrong"):
        Config.load(path)


@given(st.text(max_size=12))
def test_any_name_is_taken_or_refused_in_a_sentence(name):
    try:
        Config(inputs={name: TextInput()}, heads={"y": RegressionHead()})
    except ValueError:
        return
    assert NAME.fullmatch(name)


@pytest.mark.parametrize(
    ("rate", "seconds", "samples"),
    [(16_000, 2.0, 32_000), (8_000, 0.0001, 1), (22_050, 0.5, 11_025)],
)
def test_samples(rate, seconds, samples):
    assert AudioInput(sample_rate=rate, seconds=seconds).samples == samples
