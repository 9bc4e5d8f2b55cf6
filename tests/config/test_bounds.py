"""Every number of a configuration has bounds, and is finite."""

import pytest

from multimodal_tf.config import (
    ClassificationHead,
    Config,
    ImageInput,
    NumberInput,
    TextInput,
    Training,
    VideoInput,
)
from multimodal_tf.config.search_space import Choice, Float, Space

INPUTS = {"a": TextInput()}
HEADS = {"y": ClassificationHead()}


def number_schemas(node, path=""):
    """All numbers of a JSON schema, with their paths."""
    if isinstance(node, dict):
        if node.get("type") in ("integer", "number") and not {"enum", "const"} & {*node}:
            yield path, node
        for key, value in node.items():
            yield from number_schemas(value, f"{path}.{key}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from number_schemas(value, f"{path}.{index}")


def test_every_number_has_both_bounds():
    found = dict(number_schemas(Config.model_json_schema()))
    assert len(found) > 200
    lower, upper = {"minimum", "exclusiveMinimum"}, {"maximum", "exclusiveMaximum"}
    unbounded = [path for path, one in found.items() if not (lower & {*one} and upper & {*one})]
    assert unbounded == []
    for path, one in found.items():
        most = 2**31 - 1 if one["type"] == "integer" else 1e30
        assert one.get("maximum", 0) <= most, path


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("inputs: {a: {type: text, max_tokens: 1000000000}}", "inputs.a.max_tokens"),
        ("inputs: {a: {type: text, tower: {type: bag, embedding_dim: 10000000}}}", "embedding_dim"),
        ("inputs: {a: {type: image, tower: {type: cnn, filters: [100000]}}}", "filters.0"),
        ("inputs: {a: {type: image, tower: {type: resnet, filters: 100000}}}", "filters"),
        ("inputs: {a: {type: image, height: 100000}}", "inputs.a.height"),
        ("training: {learning_rate: .inf}", "training.learning_rate"),
        ("training: {learning_rate: .nan}", "training.learning_rate"),
        ("training: {weight_decay: .inf}", "training.weight_decay"),
        ("training: {epochs: 1" + "0" * 400 + "}", "training.epochs"),
        ("heads: {y: {type: classification, class_weight: {a: .inf}}}", "class_weight"),
        ("peft: {learning_rate_factors: {a: .inf}}", "learning_rate_factors"),
        ("fusion: {hidden: [" + "1, " * 300 + "1]}", "fusion"),
    ],
)
def test_a_number_out_of_bounds_is_one_sentence(text, field):
    rest = "".join(
        f"{key}: {value}\n"
        for key, value in (
            ("inputs", "{a: {type: text}}"),
            ("heads", "{y: {type: classification}}"),
        )
        if not text.startswith(key)
    )
    with pytest.raises(ValueError, match=r"^the configuration is wrong: [^\n]*$") as error:
        Config.from_yaml(rest + text)
    assert field in str(error.value)
    assert (
        "finite" in str(error.value) or "at most" in str(error.value) or "less" in str(error.value)
    )


@pytest.mark.parametrize(
    ("one", "batch"),
    [
        (ImageInput(height=16_384, width=16_384), 32),
        (VideoInput(frames=256, height=1024, width=1024), 32),
        (TextInput(max_tokens=131_072), 2**20),
    ],
)
def test_a_batch_has_at_most_16_gib(one, batch):
    with pytest.raises(ValueError, match="training.batch_size rows of all inputs .* size of 'a'"):
        Config(inputs={"a": one}, heads=HEADS, training=Training(batch_size=batch))
    Config(inputs={"a": one}, heads=HEADS, training=Training(batch_size=1))


def test_a_search_space_is_refused_before_it_is_searched():
    config = Config(inputs=INPUTS, heads=HEADS)
    for domain in (Float(1e-4, 1e300), Choice([0.1, float("inf")])):
        with pytest.raises(ValueError, match=r"training\.learning_rate"):
            Space.from_config(config, {"training.learning_rate": domain})
    with pytest.raises(ValueError, match=r"float must be \[low, high\]"):
        Float(1e-4, float("inf"))
    with pytest.raises(ValueError, match="at most 1000"):
        Choice(list(range(100_000)))


def test_many_columns_are_quick():
    inputs = {f"column_{number}": NumberInput() for number in range(20_000)}
    assert len(Config(inputs=inputs, heads=HEADS).inputs) == 20_000
