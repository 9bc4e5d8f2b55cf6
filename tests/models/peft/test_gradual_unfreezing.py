"""Gradual unfreezing: a stage an epoch, from the outputs down."""

import keras
import numpy as np
import peft_models
import pytest

from multimodal_tf.training import peft

X = {"photo": np.random.default_rng(0).normal(size=(8, 4)).astype("float32")}
Y = {"label": np.zeros((8, 4), "float32")}


class TestGradualUnfreezing:
    def test_from_the_outputs_down_an_epoch_each(self):
        model, changed = peft_models.stack(), []
        model.compile("sgd", "mse")
        gradual = peft.GradualUnfreezing([["photo_high"], ["photo_low"]])
        model.fit(X, Y, epochs=4, verbose=0, callbacks=[gradual, Changes(changed)])
        assert changed == [
            {"label"},
            {"label", "photo_high"},
            *[{"label", "photo_high", "photo_low"}] * 2,
        ]
        assert len(peft_models.trained(model)) == 6

    def test_all_stages_are_trainable_at_the_end(self):
        model, changed = peft_models.stack(), []
        model.compile("adam", "mse")
        gradual = peft.GradualUnfreezing([["photo_low"]], epochs=2)
        model.fit(X, Y, epochs=2, verbose=0, callbacks=[gradual, Changes(changed)])
        assert changed == [{"label", "photo_high"}] * 2
        assert len(peft_models.trained(model)) == 6

    def test_what_is_frozen_when_compiled_cannot_be_unfrozen(self):
        model = peft_models.stack()
        peft.freeze(model, "photo_low")
        model.compile("sgd", "mse")
        with pytest.raises(
            ValueError,
            match=r"^stages: must have weights that are trainable .*\['photo_low'\], which "
            r"is frozen$",
        ):
            model.fit(X, Y, verbose=0, callbacks=[peft.GradualUnfreezing([["photo_low"]])])

    def test_no_stage(self):
        with pytest.raises(
            ValueError,
            match=r"^GradualUnfreezing: needs at least one stage and one epoch for each, "
            r"received 0 and 1$",
        ):
            peft.GradualUnfreezing([])


class Changes(keras.callbacks.Callback):
    """Which layers change in each epoch."""

    def __init__(self, changed):
        super().__init__()
        self.changed = changed

    def on_epoch_begin(self, epoch, logs=None):
        self.before = peft_models.values(self.model)

    def on_epoch_end(self, epoch, logs=None):
        after = peft_models.values(self.model).items()
        self.changed.append(
            {path.split("/")[0] for path, value in after if (value != self.before[path]).any()}
        )
