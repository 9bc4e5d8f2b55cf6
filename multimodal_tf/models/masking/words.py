"""What a tokenizer's ids are: which are never masked, and which go together as a word."""

import base64
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from multimodal_tf.config import TextInput
from multimodal_tf.schema import Subwords, Vocabulary
from multimodal_tf.schema.tokenizer import restore_tokenizer

# of words and characters: 0 is padding, 1 unknown
_UNKNOWN = 1
# how SentencePiece and GPT-2's byte pairs write the space before a word, and CLIP a word's end
_SENTENCE_PIECE, _BYTE_PAIR, _CLOSED = "\N{LOWER ONE EIGHTH BLOCK}", "Ġ", "</w>"


class TokenIds(NamedTuple):
    """The ids of a tokenizer.

    Attributes:
        size: int. Ids are 0 to `size` - 1.
        mask: int. The id that stands for a masked token.
        special: ids that are no part of a text's content: padding, unknown, start, end and so on.
        edges: bool `(size,)`, packed to bits, in base64: whether a word begins with this id; with
            `closed` whether it ends. None: every id is a word of its own.
        closed: bool.
    """

    size: int
    mask: int
    special: tuple[int, ...]
    edges: str | None = None
    closed: bool = False


def token_ids(input_config: TextInput, stats: Any) -> TokenIds:
    """The ids of a text's tokenizer.

    The mask is that of a preset's tokenizer. One without a mask has the unknown token in its place.

    Args:
        input_config: its tokenizer is neither `none` nor `ngrams`.
        stats: `schema.Vocabulary` or `schema.Subwords`.

    Raises:
        ValueError: `stats` holds no tokenizer of KerasHub.

    Example:
        >>> token_ids(TextInput(), Vocabulary(words=["red", "green"]))
        TokenIds(size=4, mask=1, special=(0, 1), edges=None, closed=False)
    """
    if isinstance(stats, Vocabulary):
        return TokenIds(len(stats.words) + 2, _UNKNOWN, (0, _UNKNOWN))
    return _of_subwords(stats)


def unpacked(edges: str, size: int) -> np.ndarray[Any, Any]:
    """`TokenIds.edges` as bool `(size,)`."""
    bits = np.frombuffer(base64.b64decode(edges), "uint8")
    return np.unpackbits(bits, count=size).astype(bool)


def _of_subwords(stats: Subwords) -> TokenIds:
    layer = restore_tokenizer(stats)
    mask = getattr(layer, "mask_token_id", None)
    ends = (stats.padding, stats.unknown, stats.start, stats.end, mask)
    special = {one for one in (*ends, *layer.special_token_ids) if one is not None}
    pieces, is_edge, closed = _pieces(layer)
    edges = [False] * stats.size
    for number, piece in pieces:
        edges[number] = is_edge(piece)
    packed = base64.b64encode(np.packbits(edges).tobytes()).decode()
    return TokenIds(
        stats.size,
        stats.unknown if mask is None else mask,
        tuple(sorted(special)),
        packed if pieces else None,
        closed,
    )


def _pieces(layer: Any) -> tuple[list[tuple[int, str]], Callable[[str], bool], bool]:
    """A tokenizer's ids and pieces, whether a piece is a word's edge, and which one that is."""
    # the import takes a second, and most models do not need it
    from keras_hub import tokenizers

    numbered = list(enumerate(layer.get_vocabulary()))
    match layer:
        case tokenizers.WordPieceTokenizer():
            return numbered, lambda piece: not piece.startswith(layer.suffix_indicator), False
        case tokenizers.SentencePieceTokenizer():
            return numbered, lambda piece: piece.startswith(_SENTENCE_PIECE), False
        case tokenizers.BytePairTokenizer() | tokenizers.CLIPTokenizer():
            numbered = [(number, piece) for piece, number in layer.vocabulary.items()]
            if isinstance(layer, tokenizers.CLIPTokenizer):
                return numbered, lambda piece: piece.endswith(_CLOSED), True
            return numbered, lambda piece: piece.startswith(_BYTE_PAIR), False
        case _:
            return [], lambda piece: True, False
