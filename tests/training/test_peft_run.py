"""The towers of a run on another table, and `fit` with a PEFT configuration."""

import re

import contract
import numpy as np
import peft_models
import pytest
from small_table import frame, ingested, with_parts

from multimodal_tf.config import (
    BagTower,
    CharacterTokenizer,
    Config,
    LoRA,
    NumberInput,
    Peft,
    TextInput,
    Training,
)
from multimodal_tf.models import build_model
from multimodal_tf.schema import Classes, Schema
from multimodal_tf.training import peft
from multimodal_tf.training import run_dir as runs
from multimodal_tf.training.fit import fit
from multimodal_tf.training.run_dir import load_run

SMALL = Config(
    inputs={
        "title": TextInput(max_tokens=4, tower=BagTower(embedding_dim=4, dim=3)),
        "price": NumberInput(),
    },
    **with_parts(fusion={"hidden": [4]}, training=Training(epochs=2, batch_size=16)).model_dump(
        exclude={"inputs"}
    ),
)


def other_table():
    """The same columns with two other classes, and words in another order."""
    table = frame()
    table["label"] = table["label"].map({"b": "x", "c": "y", "d": "y"})
    table["title"] = table["title"].str.replace("bird", "zebra")
    return table


@pytest.fixture(scope="module")
def folder(once):
    """A run, its records, and those of the other table."""

    def make(folder):
        schema = ingested(folder / "records", SMALL)
        ingested(folder / "other", SMALL, other_table())
        fit(SMALL, schema, folder / "records", folder / "run", verbose=0)

    return once("peft_run", make)


@pytest.fixture(scope="module")
def trained(folder):
    return load_run(folder / "run")


@pytest.fixture(scope="module")
def other(folder):
    return Schema.load(folder / "other" / "schema.json")


class TestAnotherTable:
    def test_towers_and_their_vocabularies_are_kept_and_heads_are_new(self, trained, other):
        model, schema = peft.replace_heads(SMALL, other, trained)
        assert schema.inputs == trained.schema.inputs != other.inputs
        assert schema.heads["label"].names == ["x", "y"]
        assert model.output["label"].shape == (None, 2)
        old = peft_models.values(trained.model)
        for path, value in peft_models.values(model).items():
            if not path.startswith("label"):
                np.testing.assert_array_equal(value, old[path], err_msg=path)

    def test_heads_are_new_also_with_as_many_classes(self, trained):
        same = trained.schema.heads["label"]
        schema = Schema(
            rows=9,
            inputs=trained.schema.inputs,
            heads={"label": Classes(names=["p", "q", "r"], counts=same.counts)},
        )
        model, _ = peft.replace_heads(SMALL, schema, trained)
        assert (
            peft_models.values(model)["label/kernel"]
            != peft_models.values(trained.model)["label/kernel"]
        ).any()

    def test_fit_fine_tunes_the_model(self, trained, other, folder, tmp_path):
        model, schema = peft.replace_heads(SMALL, other, trained)
        chosen = Peft(
            train="heads",
            lora=[LoRA(layers=["title_words"], rank=2)],
            stages=[["price_*"]],
            learning_rate_factors={"label": 3},
        )
        config = SMALL.model_copy(update={"peft": chosen})
        run = fit(config, schema, folder / "other", tmp_path / "second", verbose=0, model=model)
        assert run.model is model
        old, new = peft_models.values(trained.model), peft_models.values(model)
        changed = {
            path
            for path, value in new.items()
            if path not in old
            or (value.shape, value.tobytes()) != (old[path].shape, old[path].tobytes())
        }
        assert {path.split("/")[0] for path in changed} <= {
            "title_words",
            "price_vector",
            "price_embedding",
            "label",
        }
        assert "title_words/embeddings" not in changed
        assert run.record.config.peft == chosen
        loaded = load_run(tmp_path / "second")
        assert peft_models.trained(loaded.model) == peft_models.trained(model)
        fresh, _ = peft.replace_heads(SMALL, other, trained)
        peft.load_peft(fresh, tmp_path / "second" / runs.PEFT)
        x = contract.rows_of(SMALL, 3)
        for one in (loaded.model, fresh):
            np.testing.assert_allclose(one(x)["label"], model(x)["label"], rtol=1e-5, atol=1e-6)

    def test_lora_must_be_merged_first(self, trained, other):
        copy = runs.Run(
            build_model(SMALL, trained.schema),
            SMALL,
            trained.schema,
            {},
            trained.record,
            trained.run_dir,
        )
        peft.add_lora(copy.model, "title_words")
        with pytest.raises(
            ValueError, match=r"^run: must have no LoRA .*: merge_lora\(run\.model\) first$"
        ):
            peft.replace_heads(SMALL, other, copy)
        peft.merge_lora(copy.model)
        peft.replace_heads(SMALL, other, copy)
        peft.add_adapters(copy.model, "title_vector", "title_dense", units=2, shared=True)
        with pytest.raises(ValueError, match=r"^run: must have no LoRA and no adapters"):
            peft.replace_heads(SMALL, other, copy)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                lambda: {"cost": NumberInput()},
                r"^inputs: must have one of the run's, \['title', 'price'\], received \['cost'\]$",
            ),
            (
                lambda: {
                    "title": TextInput(
                        tokenizer=CharacterTokenizer(), tower=SMALL.inputs["title"].tower
                    )
                },
                r"^inputs\.title\.tokenizer: must be .* as in the run",
            ),
            (
                lambda: {"title": NumberInput()},
                r"^inputs\.title\.type: must be 'text' as in the run, received 'number'$",
            ),
            (
                lambda: {"title": widened()},
                r"^title: must have the tower that it has in the run: title_\S+ is .* here, "
                r"and there ",
            ),
        ],
    )
    def test_other_inputs_are_refused(self, trained, other, change, message):
        config = Config(inputs=change(), heads=SMALL.heads, split=SMALL.split)
        schema = Schema(rows=9, inputs=other.inputs | trained.schema.inputs, heads=other.heads)
        with pytest.raises(ValueError, match=message) as caught:
            peft.replace_heads(config, schema, trained)
        assert "\n" not in str(caught.value)


def widened():
    title = SMALL.inputs["title"]
    return title.model_copy(update={"tower": title.tower.model_copy(update={"embedding_dim": 7})})


class TestFit:
    def test_a_pattern_is_refused_before_a_file_is_written(self, trained, folder, tmp_path):
        config = SMALL.model_copy(update={"peft": Peft(freeze=["foto_*"])})
        with pytest.raises(
            ValueError, match=r"^peft\.freeze: must match a layer, received 'foto_\*'"
        ):
            fit(config, trained.schema, folder / "records", tmp_path / "third", verbose=0)
        assert not (tmp_path / "third").exists()

    def test_a_stage_without_weights_is_refused_before_a_file_is_written(
        self, trained, folder, tmp_path
    ):
        config = SMALL.model_copy(update={"peft": Peft(stages=[["title_embedding"]])})
        with pytest.raises(
            ValueError,
            match=r"^peft\.stages: must match a layer that is trained, received "
            r"\['title_embedding'\]",
        ):
            fit(config, trained.schema, folder / "records", tmp_path / "third", verbose=0)
        assert not (tmp_path / "third").exists()

    def test_a_model_of_another_configuration_is_refused(self, trained, folder, tmp_path):
        with pytest.raises(
            ValueError, match=re.escape("model: its inputs must be the configuration's")
        ):
            fit(
                SMALL,
                trained.schema,
                folder / "records",
                tmp_path / "third",
                verbose=0,
                model=peft_models.stack(),
            )
        assert not (tmp_path / "third").exists()
