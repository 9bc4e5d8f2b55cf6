"""Learning rates by layer."""

import keras
import numpy as np
import peft_models
import pytest

from multimodal_tf.config import Training
from multimodal_tf.training import peft
from multimodal_tf.training.fit import make_optimizer

X = {"photo": np.random.default_rng(0).normal(size=(8, 4)).astype("float32")}
Y = {"label": np.zeros((8, 4), "float32")}


class TestLearningRateFactors:
    @pytest.mark.parametrize(
        ("kind", "plain", "options"),
        [
            (peft.LayerwiseSGD, keras.optimizers.SGD, {"momentum": 0.9}),
            (peft.LayerwiseAdamW, keras.optimizers.AdamW, {}),
            (peft.LayerwiseAdamW, keras.optimizers.AdamW, {"weight_decay": 0.1}),
        ],
    )
    def test_a_factor_scales_the_update_of_a_weight(self, kind, plain, options):
        models = [peft_models.stack(), peft_models.stack()]
        factors = peft.learning_rate_factors(models[0], {"photo_*": 0.5, "photo_low": 0.1})
        assert factors == [0.1, 0.1, 0.5, 0.5, 1, 1]
        start = models[0].get_weights()
        for model, optimizer in zip(
            models, (kind(0.01, factors=factors, **options), plain(0.01, **options))
        ):
            model.compile(optimizer, "mse", run_eagerly=True)
            model.train_on_batch(X, Y)
        for factor, before, slow, full in zip(
            factors, start, *(model.get_weights() for model in models)
        ):
            np.testing.assert_allclose(
                slow - before, factor * (full - before), rtol=1e-3, atol=1e-7
            )

    def test_weights_without_decay_stay_without(self):
        model = peft_models.stack()
        optimizer = make_optimizer(
            Training(learning_rate=0.1, weight_decay=0.5, warmup_epochs=0),
            model,
            10,
            {"label": 0.1},
        )
        optimizer.build(model.trainable_weights)
        before = model.get_weights()
        optimizer.apply(
            [np.zeros(weight.shape, "float32") for weight in model.trainable_weights],
            model.trainable_weights,
        )
        for factor, old, new in zip([1, 1, 1, 1, 0.1, 0.1], before, model.get_weights()):
            np.testing.assert_allclose(
                new, old * (1 - 0.1 * factor * 0.5) if old.ndim > 1 else old, rtol=1e-5
            )

    def test_a_compiled_model_is_saved_with_factors(self, tmp_path):
        model = peft_models.stack()
        model.compile(
            peft.LayerwiseAdamW(factors=peft.learning_rate_factors(model, {"label": 2})),
            "mse",
            run_eagerly=True,
        )
        model.train_on_batch(X, Y)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        assert loaded.optimizer.factors == [1, 1, 1, 1, 2, 2]
        for one in (model, loaded):
            one.train_on_batch(X, Y)
        np.testing.assert_allclose(loaded(X)["label"], model(X)["label"], rtol=1e-5, atol=1e-6)

    def test_factors_of_other_weights_are_refused(self):
        model = peft_models.stack()
        optimizer = peft.LayerwiseSGD(factors=peft.learning_rate_factors(model, {}))
        peft.freeze(model, "photo_low")
        with pytest.raises(
            ValueError,
            match="^factors: must be one for each of the model's 4 trainable weights, received 6: ",
        ):
            optimizer.build(model.trainable_weights)

    @pytest.mark.parametrize(
        ("factors", "message"),
        [
            ({"photo_*": 0}, r"^learning_rate_factors\.photo_\*: must be positive, received 0"),
            ({"x": 1}, "^learning_rate_factors: must match a layer"),
        ],
    )
    def test_wrong_factors_are_refused(self, factors, message):
        with pytest.raises(ValueError, match=message):
            peft.learning_rate_factors(peft_models.stack(), factors)
