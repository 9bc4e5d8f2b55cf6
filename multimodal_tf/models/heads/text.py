"""A text: a decoder over the tokens of the head's inputs."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, assert_never

import keras

from multimodal_tf.config import TextHead
from multimodal_tf.config.heads.preset_decoder import PresetDecoder
from multimodal_tf.config.names import TARGET
from multimodal_tf.losses import TargetLoss
from multimodal_tf.models.decoders.ctc import CTCScores
from multimodal_tf.models.decoders.decoder import Decoder
from multimodal_tf.models.decoders.memory import TokensOfEncoder, memory
from multimodal_tf.models.decoders.recurrent import RecurrentTextDecoder
from multimodal_tf.models.decoders.teacher_forcing import TargetScores
from multimodal_tf.models.decoders.transformer import TransformerTextDecoder
from multimodal_tf.models.heads.preset_decoder import load_decoder
from multimodal_tf.models.heads.prior import shares
from multimodal_tf.models.presence import AnyPresent
from multimodal_tf.models.towers.encoding import Encoding
from multimodal_tf.schema import Texts


class Read(NamedTuple):
    """What a text head reads.

    Attributes:
        encodings: by vector, with tokens and masks.
        present: float32 `(batch,)` by vector; empty if the model does not know presence.
        target: Keras input int32 `(batch, max_tokens + 1)`.
        own_encoder: whether the tower of the one input is of the decoder's own preset.
    """

    encodings: Mapping[str, Encoding]
    present: Mapping[str, keras.KerasTensor]
    target: keras.KerasTensor
    own_encoder: bool = False


def target_input(head: TextHead, name: str) -> keras.KerasTensor:
    """The Keras input of the head's target."""
    return keras.Input((head.max_tokens + 1,), dtype="int32", name=name + TARGET)


def output(
    head: TextHead, stats: Texts, x: Read, name: str, any_present: None = None
) -> keras.KerasTensor:
    """How well the target is predicted, `(batch, 4)`; see `models.heads.output`."""
    if head.decoder == "ctc":
        return _ctc(head, stats, x, name)
    decoder = (
        load_decoder(head, head.decoder, stats, name, x.own_encoder)
        if isinstance(head.decoder, PresetDecoder)
        else _decoder(head, head.decoder, stats, name)
    )
    if x.own_encoder:
        (encoding,) = x.encodings.values()
        x_memory = TokensOfEncoder(name=f"{name}_memory")(encoding.tokens, encoding.vector)
        mask = encoding.mask
    else:
        x_memory, mask = memory(decoder.dim, x.encodings, x.present, name)
    read = [x.target, x_memory, mask]
    if x.present:
        any_one = AnyPresent(name=f"{name}_any", dtype="float32")
        read.append(any_one(list(x.present.values())))
    scores = TargetScores(
        decoder,
        head.label_smoothing,
        stats.commonest_ids,
        stats.share,
        head.beam if head.search == "beam" else 1,
        head.length_penalty,
        head.temperature,
        head.top_k,
        head.top_p,
        stats.choice_ids,
        shares(stats.choice_counts),
        name=name,
    )
    return scores(*read)


def prior(head: TextHead, stats: Texts, width: int) -> list[float]:
    """Zeros: a row without inputs teaches nothing."""
    return [0.0] * width


def loss(head: TextHead, stats: Texts) -> keras.losses.Loss:
    """The rows' losses, as the output holds them."""
    return TargetLoss()


def metrics(head: TextHead) -> list[keras.metrics.Metric]:
    """The share of right tokens."""
    return [TokenAccuracy(name="token_accuracy")]


def _ctc(head: TextHead, stats: Texts, x: Read, name: str) -> keras.KerasTensor:
    """How well the target is predicted from the tokens of the head's one input."""
    (own,) = x.encodings
    encoding = x.encodings[own]
    read = [x.target, encoding.tokens, encoding.mask, encoding.vector]
    if x.present:
        read.append(x.present[own])
    length, commonest = head.max_tokens + 1, stats.commonest_ids
    scores = CTCScores(stats.size, length, commonest, stats.share, name=name, dtype="float32")
    return scores(*read)


def _decoder(
    head: TextHead,
    kind: Literal["transformer", "lstm", "gru"],
    stats: Texts,
    name: str,
) -> Decoder:
    rest: dict[str, Any] = {
        "size": stats.size,
        "length": head.max_tokens + 1,
        "dim": head.dim,
        "depth": head.depth,
        "heads": head.heads,
        "dropout": head.dropout,
        "name": f"{name}_decoder",
    }
    match kind:
        case "transformer":
            return TransformerTextDecoder(mlp_units=head.mlp_units, **rest)
        case "lstm" | "gru":
            return RecurrentTextDecoder(kind=kind, **rest)
        case _:
            assert_never(kind)


@keras.saving.register_keras_serializable("multimodal_tf")
class TokenAccuracy(keras.metrics.Mean):
    """Right tokens of all rows, divided by their number.

    `y_true` is not read, `y_pred` is the output of `TargetScores`. A row of weight 0 does not
    count.
    """

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        y_pred = keras.ops.convert_to_tensor(y_pred)
        hits, count = y_pred[:, 2], y_pred[:, 3]
        weight = count
        if sample_weight is not None:
            weight = weight * keras.ops.cast(sample_weight, weight.dtype)
        return super().update_state(hits / keras.ops.maximum(count, 1.0), weight)
