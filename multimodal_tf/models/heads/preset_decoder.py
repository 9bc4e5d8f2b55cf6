"""The pretrained decoder of a text head, loaded from its preset."""

from typing import Any

import keras

from multimodal_tf.config import PresetTower, TextHead
from multimodal_tf.config.heads.preset_decoder import PresetDecoder
from multimodal_tf.models.decoders.preset import PresetTextDecoder, parts_of
from multimodal_tf.models.towers.backbone import load_backbone
from multimodal_tf.schema import Subwords, Texts
from multimodal_tf.schema.tokenizer import restore_tokenizer


def load_decoder(
    head: TextHead, decoder: PresetDecoder, stats: Texts, name: str, own_encoder: bool
) -> PresetTextDecoder:
    """The decoder of a preset for the tokens of a head.

    Args:
        head: its `max_tokens`.
        decoder: `head.decoder`.
        stats: the schema's entry of the head, with the preset's tokenizer.
        name: of the head.
        own_encoder: whether the tower of its one input is of the same preset.

    Raises:
        FileNotFoundError: there is no such preset.
        ValueError: it has no decoder that is known, fewer tokens than its tokenizer, or fewer
            positions than a text may have; or it is a Whisper for several languages.
    """
    field = f"heads.{name}.decoder.preset"
    tower = PresetTower(preset=decoder.preset, trainable=decoder.trainable)
    # KerasHub's caches are float32
    backbone = load_backbone(tower, field, "float32")
    parts = parts_of(backbone)
    if parts is None:
        raise ValueError(
            f"{field}: must be a preset of Whisper or BART, received {decoder.preset!r}, a "
            f"{type(backbone).__name__}"
        )
    if not own_encoder and parts.positions is None:
        raise ValueError(
            f"heads.{name}.inputs: must be one sound whose tower is of the preset "
            f"{decoder.preset!r}, which Whisper's decoder reads, received others"
        )
    tokens: Any = stats.tokens
    if not isinstance(tokens, Subwords) or tokens.size > backbone.vocabulary_size:
        raise ValueError(
            f"{field}: the tokenizer must have at most the {backbone.vocabulary_size} tokens of the"
            f" decoder, received {getattr(tokens, 'size', tokens)}"
        )
    tokenizer = restore_tokenizer(tokens)
    prompt = _prompt(tokenizer, field)
    longest = _positions(backbone) - len(prompt)
    if head.max_tokens > longest:
        raise ValueError(
            f"heads.{name}.max_tokens: must be at most {longest}, the positions of the preset, "
            f"received {head.max_tokens}"
        )
    return PresetTextDecoder(
        backbone,
        prompt,
        tokenizer.special_token_ids,
        stats.end - 2,
        stats.size,
        head.max_tokens + 1,
        backbone.hidden_dim,
        trainable=decoder.trainable,
        name=f"{name}_decoder",
        dtype="float32",
    )


def _prompt(tokenizer: Any, field: str) -> list[int]:
    """The ids of the preset with which a text begins."""
    # the import takes seconds, and other heads do not need it
    from keras_hub.tokenizers import WhisperTokenizer

    if not isinstance(tokenizer, WhisperTokenizer):
        return [tokenizer.end_token_id, tokenizer.start_token_id]
    if tokenizer.language_tokens is not None:
        raise ValueError(
            f"{field}: must be a Whisper for English alone, received one for several languages"
        )
    return [tokenizer.bos_token_id, tokenizer.no_timestamps_token_id]


def _positions(backbone: keras.Model) -> int:
    """The most tokens of the decoder."""
    of_whisper = getattr(backbone, "max_decoder_sequence_length", None)
    return int(of_whisper or backbone.max_sequence_length)
