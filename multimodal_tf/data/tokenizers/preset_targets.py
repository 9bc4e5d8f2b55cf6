"""Target texts in the tokens of a preset, which were learned before."""

from typing import Any

from multimodal_tf.data.tokenizers.byte_pair import letters
from multimodal_tf.schema import Subwords
from multimodal_tf.schema.tokenizer import restore_tokenizer

# SentencePiece's letter for a space
_SPACE = "\u2581"


def ending(learned: Subwords, field: str) -> Subwords:
    """The tokenizer of a preset with the token that ends a text.

    Args:
        learned: the schema's entry of a preset's tokenizer.
        field: its name in the configuration, for errors.

    Raises:
        ValueError: its tokens do not give a text back, or none ends a text.
    """
    from keras_hub.tokenizers import BytePairTokenizer, CLIPTokenizer, SentencePieceTokenizer

    layer = restore_tokenizer(learned)
    reversible = isinstance(layer, BytePairTokenizer | SentencePieceTokenizer)
    if not reversible or isinstance(layer, CLIPTokenizer):
        raise ValueError(
            f"{field}: must be one whose tokens give the text back, received that of "
            f"{learned.preset!r}, a {type(layer).__name__}"
        )
    end = getattr(layer, "eos_token_id", None)
    end = getattr(layer, "end_token_id", None) if end is None else end
    if end is None:
        raise ValueError(
            f"{field}: must have a token that ends a text, received that of {learned.preset!r}"
        )
    return learned.model_copy(update={"end": int(end)})


def is_whisper(learned: Subwords) -> bool:
    """Whether the tokenizer is Whisper's."""
    return learned.layer.get("class_name") == "WhisperTokenizer"


def preset_pieces(layer: Any, size: int) -> list[bytes]:
    """The bytes of each of a preset's tokens, none of a special one."""
    from keras_hub.tokenizers import BytePairTokenizer

    special = set(layer.special_token_ids)
    if isinstance(layer, BytePairTokenizer):
        byte_of = {letter: byte for byte, letter in enumerate(letters())}
        named = {number: token for token, number in layer.vocabulary.items()}
        return [
            b""
            if number in special
            else bytes(byte_of[one] for one in named.get(number, "") if one in byte_of)
            for number in range(size)
        ]
    return [
        b"" if number in special else layer.id_to_token(number).replace(_SPACE, " ").encode()
        for number in range(size)
    ]
