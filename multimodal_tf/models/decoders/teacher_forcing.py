"""The loss of a target text, given to a decoder token by token."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from multimodal_tf.models.decoders.decoder import Decoder


@keras.saving.register_keras_serializable("multimodal_tf")
class TargetScores(layers.Layer):
    """How well a decoder predicts each token of a row's target from those before it.

    Args:
        decoder: `Decoder`.
        label_smoothing: float, share of the target that is spread evenly over all tokens that
            can be predicted.
        commonest: ids of the text that a row without any input gets, without its end.
        share: float, share of the training rows that have this text.
        beam: int, how many texts a search keeps at each step; 1: greedy.
        length_penalty: float, of a search that keeps several.
        temperature, top_k, top_p: of texts that are drawn at random, as in `sampling.drawn`.

        choices: token ids of the texts that a head chooses from, without their ends; none: it
            writes.
        choice_shares: of the training rows, one a choice, above 0.

    Call:
        `target` is int `(batch, length)`: tokens, the end, padding; all padding where there is no
        target. `memory` and `visible` are the decoder's. `any_present`, if given, float `(batch,)`,
        above 0.5 where any input is present. Returns float32 `(batch, 4)`: the loss, the mean over
        the target's tokens, in nats; the log probability of the target; how many of its tokens are
        the most probable ones; their number. Zeros in a row without a target or without any input.
    """

    def __init__(
        self,
        decoder: Decoder,
        label_smoothing: float,
        commonest: Sequence[int],
        share: float,
        beam: int = 1,
        length_penalty: float = 0.0,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float = 1.0,
        choices: Sequence[Sequence[int]] = (),
        choice_shares: Sequence[float] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.decoder, self.label_smoothing = decoder, label_smoothing
        self.commonest, self.share = list(commonest), share
        self.beam, self.length_penalty = beam, length_penalty
        self.choices = [list(one) for one in choices]
        self.choice_shares = list(choice_shares)
        self.temperature, self.top_k, self.top_p = temperature, top_k, top_p

    def build(
        self,
        target_shape: Any,
        memory_shape: Any,
        visible_shape: Any,
        any_present_shape: Any = None,
    ) -> None:
        # one that was loaded is built
        if not self.decoder.built:
            self.decoder.build(target_shape, memory_shape, visible_shape)

    def call(
        self,
        target: Any,
        memory: Any,
        visible: Any,
        any_present: Any = None,
        training: bool | None = None,
    ) -> Any:
        decoder = self.decoder
        begin = ops.full_like(target[:, :1], decoder.begin)
        before = ops.concatenate([begin, target[:, :-1]], axis=1)
        logits = decoder(before, memory, visible, training=training)
        logs = ops.log_softmax(logits, axis=-1)
        of_target = ops.take_along_axis(logs, ops.expand_dims(target, -1), axis=-1)[..., 0]
        # padding, unknown and the beginning are no predictions, and no part of the mean
        spread = ops.mean(logs[..., 2 : decoder.size - 1], axis=-1)
        counted = target != 0
        if any_present is not None:
            counted = ops.logical_and(counted, ops.expand_dims(any_present > 0.5, 1))
        smooth = self.label_smoothing
        losses = -(1 - smooth) * of_target - smooth * spread
        hits = ops.cast(ops.argmax(decoder.choices(logits), axis=-1), target.dtype) == target
        counts = ops.sum(ops.cast(counted, "float32"), axis=1)
        sums = [
            ops.sum(ops.where(counted, one, ops.zeros_like(one)), axis=1)
            for one in (losses, of_target, ops.cast(hits, "float32"))
        ]
        sums[0] = sums[0] / ops.maximum(counts, 1.0)
        return ops.stack([*sums, counts], axis=1)

    def compute_output_spec(
        self, target: keras.KerasTensor, *others: Any, **others_by_name: Any
    ) -> keras.KerasTensor:
        return keras.KerasTensor((target.shape[0], 4), "float32")

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "decoder": keras.saving.serialize_keras_object(self.decoder),
            "label_smoothing": self.label_smoothing,
            "commonest": self.commonest,
            "share": self.share,
            "beam": self.beam,
            "length_penalty": self.length_penalty,
            "temperature": self.temperature,
            "top_k": self.top_k,
            "top_p": self.top_p,
            "choices": self.choices,
            "choice_shares": self.choice_shares,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "TargetScores":
        decoder = keras.saving.deserialize_keras_object(config["decoder"])
        return cls(**{**config, "decoder": decoder})
