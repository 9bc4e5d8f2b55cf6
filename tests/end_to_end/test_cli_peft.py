"""Fine-tuning by the command line: towers for other classes, and merged LoRA."""

import math

import pandas as pd
import pytest
import shop as shop_table
import tensorflow as tf

from multimodal_tf.config import (
    BagTower,
    ClassificationHead,
    Config,
    LoRA,
    Peft,
    Split,
    TextInput,
    Training,
)
from multimodal_tf.models.peft.layer_paths import weights
from multimodal_tf.schema import Schema
from multimodal_tf.training.run_dir import load_run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(command, tmp_path_factory):
    """A folder with `config.yaml`, of the title and its label alone, `records` and the `run`."""
    folder = tmp_path_factory.mktemp("peft")
    table, config, records = (folder / name for name in ("shop.csv", "config.yaml", "records"))
    shop_table.texts().to_csv(table, index=False)
    Config(
        inputs={"title": TextInput(tower=BagTower(embedding_dim=8, dropout=0))},
        heads={"label": ClassificationHead()},
        split=Split(column="split"),
        training=Training(batch_size=16, learning_rate=0.05),
    ).save(config)
    ingest = ["ingest", table, "--config", config, "--out", records, "--processes", "1"]
    assert command(*ingest) == 0
    assert command("train", records, "--out", folder / "run", "--epochs", "1") == 0
    return folder


def with_peft(made, name, **fields):
    """The path of the configuration with other trainable parts."""
    settings, path = Config.load(made / "config.yaml"), made / f"{name}.yaml"
    settings.model_copy(update={"peft": Peft(**fields)}).save(path)
    return path


def test_towers_of_a_run_for_a_table_of_other_classes(made, command, capsys):
    table, records, second = made / "other.csv", made / "others", made / "second"
    names = {"bird": "vogel", "cat": "katze", "dog": "hund"}
    shop_table.texts().replace({"label": names}).to_csv(table, index=False)
    config = with_peft(made, "other", train="heads")
    ingest = ["ingest", table, "--config", config, "--out", records, "--processes", "1"]
    assert command(*ingest) == 0
    words = ["--from", made / "run", "--out", second, "--epochs", "2"]
    assert command("train", records, *words) == 0
    old, new = (weights(load_run(made / name).model) for name in ("run", "second"))
    assert {
        name for name, weight in new.items() if (weight.numpy() != old[name].numpy()).any()
    } == {"label/kernel", "label/bias"}
    assert Schema.load(second / "schema.json").heads["label"].names == ["hund", "katze", "vogel"]
    capsys.readouterr()
    assert command("train", records, "--from", records, "--out", made / "third") == 1
    assert capsys.readouterr().err.startswith("error: ")
    assert not (made / "third").exists()


def test_merged_lora_is_exported_as_large_as_the_base(made, command):
    config = with_peft(made, "lora", lora=[LoRA(layers=["title_words"], rank=2)])
    words = ["--config", config, "--out", made / "lora", "--epochs", "2"]
    assert command("train", made / "records", *words) == 0
    assert command("export", made / "run", made / "saved" / "1") == 0
    for name, flags in (("added", []), ("merged", ["--merge"])):
        saved, out = made / name / "1", made / f"{name}.csv"
        assert command("export", made / "lora", saved, *flags) == 0
        assert command("predict", saved, made / "shop.csv", "--out", out) == 0
    pd.testing.assert_frame_equal(
        pd.read_csv(made / "merged.csv"), pd.read_csv(made / "added.csv"), rtol=1e-4
    )
    held = {
        name: tf.train.list_variables(str(made / name / "1" / "variables" / "variables"))
        for name in ("saved", "added", "merged")
    }
    numbers = {
        name: sum(math.prod(shape) for _, shape in variables) for name, variables in held.items()
    }
    assert numbers["merged"] == numbers["saved"] < numbers["added"]
