"""LoRA and adapters on BERT within a tower: training, saving, exporting."""

import contract
import keras
import numpy as np
import peft_models
import pytest
import tensorflow as tf

from multimodal_tf.config import GradNormWeights, UncertaintyWeights
from multimodal_tf.models import embeddings
from multimodal_tf.models.peft import layer_paths
from multimodal_tf.serving.endpoints import core
from multimodal_tf.training import peft


class TestInAModel:
    """On BERT within a tower, whose layers run on the present rows."""

    def test_lora_in_attention_and_embedding_is_trained_and_the_base_is_not(self, bert):
        model = bert.model(trainable=False)
        before = bert.predicted(model)
        peft.add_lora(model, "*_dense", "*/token_embedding", rank=2)
        np.testing.assert_array_equal(bert.predicted(model), before)
        old = peft_models.values(model)
        bert.compiled(model).train_on_batch(bert.rows(), bert.targets())
        changed = {
            path for path, value in peft_models.values(model).items() if (value != old[path]).any()
        }
        in_tower = {path for path in changed if path.startswith("title_network")}
        assert in_tower >= {
            f"{peft_models.QUERY}/peft/b",
            f"{peft_models.BLOCK}/feedforward_output_dense/peft/b",
        }
        assert all("/peft/" in path for path in in_tower)

    def test_missing_rows_change_nothing(self, bert):
        model = bert.model()
        peft.add_lora(model, "*query_dense")
        peft_models.shake(model)
        few = contract.without(bert.rows(), "title", np.array([True, False, True, False]))
        assert np.isfinite(bert.predicted(model, few)).all()
        np.testing.assert_allclose(
            bert.predicted(model, few)[1::2], bert.predicted(model)[1::2], rtol=1e-4, atol=1e-6
        )

    def test_a_loaded_model_has_them_and_trains_the_same(self, bert, tmp_path):
        model = bert.model()
        peft.train_head_only(model)
        peft.add_lora(model, "*query_dense", "*/token_embedding", rank=2, alpha=3)
        peft.add_adapters(model, "*feedforward_output_dense", units=3, activation="relu")
        peft_models.shake(model)
        y = bert.targets()
        bert.compiled(model).train_on_batch(bert.rows(), y)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        np.testing.assert_allclose(bert.predicted(loaded), bert.predicted(model), rtol=1e-6)
        assert peft_models.trained(loaded) == peft_models.trained(model)
        assert len(loaded.optimizer.variables) == len(model.optimizer.variables)
        one, other = (each.train_on_batch(bert.rows(), y) for each in (model, loaded))
        np.testing.assert_allclose(
            bert.predicted(loaded), bert.predicted(model), rtol=1e-4, atol=1e-6
        )

    @pytest.mark.slow
    def test_merged_it_exports_with_the_size_and_operations_of_the_base(self, bert, tmp_path):
        model, base = bert.model(), bert.model()
        peft.add_lora(model, "*query_dense", "*/token_embedding", "*feedforward_*")
        peft_models.shake(model)
        expected = bert.predicted(model)
        sizes = {"with": exported(model, tmp_path / "with")}
        peft.merge_lora(model)
        sizes |= {
            name: exported(one, tmp_path / name)
            for one, name in ((model, "merged"), (base, "base"))
        }
        assert len(model.weights) == len(base.weights)
        # bytes; the file also lists objects by number
        assert abs(sizes["merged"] - sizes["base"]) < 16 < sizes["with"] - sizes["base"]
        served = {
            name: tf.saved_model.load(str(tmp_path / name)).signatures["core"] for name in sizes
        }
        x = {key: tf.constant(value) for key, value in bert.rows().items()}
        for one in (model(bert.rows()), served["with"](**x), served["merged"](**x)):
            np.testing.assert_allclose(one["label"], expected, rtol=1e-4, atol=1e-5)
        assert kinds(served["merged"]) == kinds(served["base"])
        assert len(kinds(served["with"])) > len(kinds(served["base"]))

    def test_other_models_with_the_same_layers_have_them_too(self, bert):
        model = bert.model()
        before = np.array(embeddings(model)(bert.rows())["title"])
        peft.add_lora(model, "*query_dense")
        peft_models.shake(model)
        assert (np.array(embeddings(model)(bert.rows())["title"]) != before).any()

    @pytest.mark.parametrize("loss_weighting", [UncertaintyWeights(), GradNormWeights()])
    def test_a_model_with_learned_loss_weights_keeps_training_them(
        self, bert, loss_weighting, tmp_path
    ):
        options = {"heads": ("label", "other_label"), "loss_weighting": loss_weighting}
        model = bert.model(**options)
        kind = type(model)
        peft.train_head_only(model)
        peft.add_lora(model, "*query_dense")
        y = bert.targets(**options)
        bert.compiled(model, **options).train_on_batch(bert.rows(), y)
        own = [weight for path, weight in layer_paths.weights(model).items() if "/" not in path]
        assert any(
            (weight.numpy() != peft_models.values(bert.model(**options))[weight.name]).any()
            for weight in own
        )
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        assert isinstance(loaded, kind)
        assert peft_models.trained(loaded) == peft_models.trained(model)
        np.testing.assert_allclose(bert.predicted(loaded), bert.predicted(model), rtol=1e-6)
        peft.save_peft(model, tmp_path / "a.safetensors")
        # which does not learn them
        plain = bert.model(heads=options["heads"])
        peft.load_peft(plain, tmp_path / "a.safetensors")
        np.testing.assert_allclose(bert.predicted(plain), bert.predicted(model), rtol=1e-6)

    def test_in_a_strategy(self):
        with contract.strategy().scope():
            model = peft_models.stack()
            peft.add_lora(model, "photo_*", rank=1)
            model.compile(
                peft.LayerwiseAdamW(factors=peft.learning_rate_factors(model, {"photo_low": 0.1})),
                "mse",
            )
        data = tf.data.Dataset.from_tensor_slices(
            ({"photo": np.ones((4, 4), "float32")}, {"label": np.zeros((4, 4), "float32")})
        ).batch(2)
        assert np.isfinite(model.fit(data, verbose=0, shuffle=False).history["loss"][0])


def kinds(function):
    """The operations of a served function, sorted."""
    graph = function.graph.as_graph_def()
    return sorted(
        node.op
        for part in (graph.node, *(one.node_def for one in graph.library.function))
        for node in part
    )


def exported(model, directory):
    """Bytes of the weights of a SavedModel."""
    archive = keras.export.ExportArchive()
    archive.add_endpoint(
        "core",
        core(model),
        [{name: tf.TensorSpec(x.shape, x.dtype, name) for name, x in model.input.items()}],
    )
    archive.write_out(str(directory), verbose=False)
    return sum(path.stat().st_size for path in (directory / "variables").glob("*.data*"))
