"""Hidden tokens, patches or spans of an input, predicted from the rest, and from other inputs."""

from collections.abc import Sequence
from typing import NamedTuple

import keras
from keras import layers

from multimodal_tf.config import AudioInput, CrossModalFusion, ImageInput, MaskedHead, TextInput
from multimodal_tf.config.tower_bases import Spectrogram
from multimodal_tf.models.fusion.transformers import attend, tokens_and_masks
from multimodal_tf.models.heads.objective import loss, metrics, prior
from multimodal_tf.models.masking.at_places import (
    HiddenTokenLosses,
    HiddenValueLosses,
    TokensAtPlaces,
)
from multimodal_tf.models.masking.layers import HiddenPatches, HiddenSpans, HiddenTokens
from multimodal_tf.models.masking.patches import grid_of, spans_of
from multimodal_tf.models.masking.text import Masked
from multimodal_tf.models.masking.words import token_ids
from multimodal_tf.models.reread import Reread
from multimodal_tf.models.towers.encoding import Encoding
from multimodal_tf.models.towers.spectrogram import LogMelSpectrogram, fft_length, window_and_hop
from multimodal_tf.models.towers.text import mask_layer

__all__ = ["loss", "metrics", "output", "prior"]

# SimMIM's and wav2vec 2.0's shares, and BERT's
_IMAGE, _AUDIO, _TEXT = 0.6, 0.5, 0.15
_ATTENTION_HEADS = 4


class _Task(NamedTuple):
    """What is hidden of a cell, and how it is predicted.

    Attributes:
        masked: Keras tensors.
        at_places: layer from the tower's tokens to those at the hidden places.
        width: of a prediction.
        losses: layer from predictions, `masked.target` and `masked.counted` to the output.
    """

    masked: Masked
    at_places: TokensAtPlaces
    width: int
    losses: layers.Layer


def output(
    head: MaskedHead,
    stats: None,
    x: Sequence[Reread],
    name: str,
    any_present: None = None,
) -> keras.KerasTensor:
    """The rows' losses and hits `(batch, 3)`; see `models.heads.output`."""
    (own,) = x
    task = _task(head, own, name)
    encoding = own.again_from(own.augmented, task.masked.cell, f"{name}_again")
    hidden = _hidden(head, task, encoding, name)
    if head.context:
        hidden = _with_context(head, own, hidden, name)
    predicted = layers.Dense(task.width, dtype="float32", name=f"{name}_prediction")(hidden)
    return task.losses(predicted, task.masked.target, task.masked.counted)


def _task(head: MaskedHead, own: Reread, name: str) -> _Task:
    match own.given.config:
        case TextInput():
            return _tokens(head, own, own.given.config, name)
        case ImageInput():
            return _patches(head, own, own.given.config, name)
        case AudioInput():
            return _spans(head, own, own.given.config, name)
        case _:
            raise TypeError(f"heads.{name}: no parts of {own.given.config.type} can be hidden")


def _tokens(head: MaskedHead, own: Reread, config: TextInput, name: str) -> _Task:
    stats = own.given.stats
    ids, mask = token_ids(config, stats), mask_layer(stats, own.given.name)
    layer = HiddenTokens(
        ids,
        mask.padding,
        mask.ends_with_padding,
        share=head.share or _TEXT,
        dtype="float32",
        name=f"{name}_hidden",
    )
    return _Task(
        Masked(*layer(own.augmented, *_flags(own))),
        TokensAtPlaces([config.max_tokens], [1.0], name=f"{name}_tokens"),
        ids.size,
        HiddenTokenLosses(dtype="float32", name=name),
    )


def _patches(head: MaskedHead, own: Reread, config: ImageInput, name: str) -> _Task:
    grid = grid_of(config.height, config.width, getattr(config.tower, "patch_size", None))
    layer = HiddenPatches(grid, share=head.share or _IMAGE, dtype="float32", name=f"{name}_hidden")
    extents = [grid.rows * grid.size / config.height, grid.columns * grid.size / config.width]
    return _Task(
        Masked(*layer(own.augmented, own.given.x, *_flags(own))),
        TokensAtPlaces([grid.rows, grid.columns], extents, name=f"{name}_tokens"),
        grid.size**2 * config.channels,
        HiddenValueLosses(dtype="float32", name=name),
    )


def _spans(head: MaskedHead, own: Reread, config: AudioInput, name: str) -> _Task:
    # a waveform tower has no spectrogram of its own
    tower = config.tower if isinstance(config.tower, Spectrogram) else Spectrogram(type="log_mel")
    window, hop = window_and_hop(tower, config.sample_rate, own.given.name)
    spans = spans_of(config.samples, config.sample_rate, hop)
    if spans.number < 2:
        raise ValueError(
            f"heads.{name}.inputs: {own.given.name!r} must be as long as two spans of {hop} "
            f"samples or longer, received {config.samples}"
        )
    spectrogram = LogMelSpectrogram(
        config.sample_rate,
        window,
        hop,
        fft_length(config.sample_rate, window, tower.mel_bins),
        tower.mel_bins,
        dtype="float32",
        name=f"{name}_spectrogram",
    )
    layer = HiddenSpans(spans, share=head.share or _AUDIO, dtype="float32", name=f"{name}_hidden")
    flags = _flags(own)
    return _Task(
        Masked(*layer(own.augmented, spectrogram(own.augmented), own.given.x, *flags)),
        TokensAtPlaces(
            [spans.number],
            [min(1.0, spans.number * spans.frames * hop / config.samples)],
            name=f"{name}_tokens",
        ),
        spans.frames * tower.mel_bins,
        HiddenValueLosses(dtype="float32", name=name),
    )


def _flags(own: Reread) -> list[keras.KerasTensor]:
    return [] if own.given.present is None else [own.given.present]


def _hidden(head: MaskedHead, task: _Task, encoding: Encoding, name: str) -> keras.KerasTensor:
    """What is known of each hidden place, `(batch, places, head.dim)`.

    Tokens of a tower that mixes them know their surroundings; the vector does so of any tower, and
    a learned vector for each place tells apart places that one token covers.
    """
    index, length = task.masked.places, encoding.tokens.shape[1]
    parts = [
        layers.Dense(head.dim, name=f"{name}_dense")(task.at_places(encoding.tokens, index)),
        layers.Reshape((1, head.dim), name=f"{name}_row")(
            layers.Dense(head.dim, use_bias=False, name=f"{name}_dense_of_vector")(encoding.vector)
        ),
    ]
    places = task.at_places.number
    if length != places:
        parts.append(layers.Embedding(places, head.dim, name=f"{name}_places")(index))
    x = layers.Add(name=f"{name}_sum")(parts)
    x = layers.Activation("gelu", name=f"{name}_gelu")(x)
    return layers.LayerNormalization(epsilon=1e-5, name=f"{name}_norm")(x)


def _with_context(
    head: MaskedHead, own: Reread, x: keras.KerasTensor, name: str
) -> keras.KerasTensor:
    """The same after attention to the other inputs' vectors and tokens, one after the other."""
    # without dropout: a replica would draw it otherwise than one device
    blocks = CrossModalFusion(
        dim=head.dim,
        heads=_ATTENTION_HEADS if head.dim % _ATTENTION_HEADS == 0 else 1,
        mlp_units=2 * head.dim,
        block_dropout=0.0,
    )
    every = own.all_inputs
    encodings = {other: every.by_name[other] for other in head.context}
    present = {other: every.present[other] for other in head.context if every.present}
    tokens, masks = tokens_and_masks(blocks, encodings, present, name)
    for other in head.context:
        x = attend(
            blocks, x, tokens[other], masks[other], f"{name}_from_{other}", present.get(other)
        ).x
    return x
