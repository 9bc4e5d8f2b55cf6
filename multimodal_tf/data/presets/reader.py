"""What a preset's tokenizer makes of texts: the words that it knows whole, and how many tokens."""

import collections

import numpy as np
import tensorflow as tf

from multimodal_tf.config import PresetTokenizer
from multimodal_tf.data.presets.folder import PresetFolder
from multimodal_tf.data.tokenizers import normalization
from multimodal_tf.data.tokenizers.graph_tokenizers import graph_tokenizer
from multimodal_tf.data.tokenizers.train_subwords import fit_subwords

# distinct words that are looked up
_WORDS = 5_000
# tokens of a text that are counted
_LONGEST = 4_096


class TextReader:
    """The tokenizer of a preset, as the model reads texts with it.

    Args:
        preset: of kind text.

    Raises:
        ValueError: KerasHub does not load its tokenizer.
    """

    def __init__(self, preset: PresetFolder) -> None:
        settings = PresetTokenizer(preset=str(preset.folder))
        self._stats = fit_subwords("presets", settings, lambda normalize: ())
        self._tokenize = graph_tokenizer(settings, self._stats)

    def known_words(self, texts: list[str]) -> float:
        """The share of the texts' words that are one known token, 0 to 1; 0 without any.

        A tokenizer cuts words of other languages into pieces (Rust et al. 2021, arXiv:2012.15613).
        A single letter beyond ASCII, such as a Chinese one, counts as unknown: every vocabulary
        has some.
        """
        words = normalization.words(tf.constant(texts or [""])).flat_values.numpy()
        decoded = (word.decode("utf-8", "replace") for word in words)
        counts = collections.Counter(word for word in decoded if any(map(str.isalpha, word)))
        common = dict(counts.most_common(_WORDS))
        if not common:
            return 0.0
        # behind another word, since byte pairs hold the space before a word
        (first,) = self._ids(["a"])
        ids = self._ids([f"a {word}" for word in common])
        whole = [
            len(found) == len(first) + 1
            and found[-1] != self._stats.unknown
            and (len(word) > 1 or word.isascii())
            for word, found in zip(common, ids)
        ]
        return float(np.average(whole, weights=list(common.values())))

    def tokens(self, texts: list[str]) -> int:
        """The 95th percentile of the numbers of tokens of the texts, with start and end."""
        frame = sum(one is not None for one in (self._stats.start, self._stats.end))
        lengths = [len(one) + frame for one in self._ids(texts)]
        return int(np.ceil(np.percentile(lengths, 95))) if lengths else frame

    def _ids(self, texts: list[str]) -> list[list[int]]:
        ids: list[list[int]] = self._tokenize(tf.constant(texts or [""]), _LONGEST).to_list()
        return ids[: len(texts)]
