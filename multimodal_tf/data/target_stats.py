"""What is learned of the target texts of a head."""

import collections
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf

from multimodal_tf.config import CharacterTokenizer, PresetTokenizer
from multimodal_tf.config.heads import TextHead
from multimodal_tf.data.column_stats import CELLS, ValueCounts, count_values, distinct
from multimodal_tf.data.tokenizers import train_subwords
from multimodal_tf.data.tokenizers.characters import clusters
from multimodal_tf.data.tokenizers.normalization import UNKNOWN, cut
from multimodal_tf.data.tokenizers.preset_targets import ending
from multimodal_tf.data.tokenizers.target_texts import TargetTokens, texts_of
from multimodal_tf.schema import Subwords, Texts, Vocabulary

# texts that a head chooses from, all of which are compared in each row
MOST_CHOICES = 10_000
# texts that are tokenized at a time
_ROWS = 256


class TargetStats:
    """Learns the tokens of a head's target texts. Memory holds each distinct text.

    Args:
        field: of the head in the configuration, such as `heads.caption`.
        head: its configuration.
    """

    def __init__(self, field: str, head: TextHead) -> None:
        self._field, self._head = field, head
        self._texts, self._clusters = ValueCounts(count_values), ValueCounts(_count_clusters)

    def add(self, cells: tf.Tensor) -> None:
        """Counts a batch of canonical texts, string `(batch,)`, "" where missing."""
        self._texts.add(cells)
        if isinstance(self._head.tokenizer, CharacterTokenizer):
            self._clusters.add(cells)

    def stats(self, title: str) -> Texts:
        """The schema's entry.

        Args:
            title: names the head in an error.

        Raises:
            ValueError: there is no text, every text has more than `max_tokens` tokens, or as
                `train_subwords.fit_subwords`.
        """
        if not self._texts.rows:
            raise ValueError(
                f"{title} must have a text in some row of the training split, received none"
            )
        found = Texts(
            tokens=self._tokens(), rows=self._texts.rows, commonest="", commonest_ids=[], share=0.0
        )
        found = found.model_copy(update=self._commonest(found))
        return (
            found if self._head.choices is None else found.model_copy(update=self._choices(found))
        )

    def _tokens(self) -> Vocabulary | Subwords:
        tokenizer = self._head.tokenizer
        if isinstance(tokenizer, CharacterTokenizer):
            return Vocabulary(
                words=self._clusters.most_frequent(tokenizer.vocabulary_size),
                tokenizer="characters",
            )
        field = f"{self._field}.tokenizer"
        found = train_subwords.fit_subwords(field, tokenizer, self._training_texts, True)
        return ending(found, field) if isinstance(tokenizer, PresetTokenizer) else found

    def _training_texts(self, normalize: Callable[[Any], Any]) -> "_Repeated":
        return _Repeated(self._texts.counts, normalize)

    def _commonest(self, found: Texts) -> dict[str, Any]:
        """The most frequent text that the head can predict, its ids and its share of the rows."""
        tokens, most, fits = TargetTokens(found), self._head.max_tokens, False
        for chunk in _chunks(self._texts.most_frequent()):
            ids = tokens(tf.constant(chunk), most).numpy()
            again = texts_of(tf.constant(ids), found).numpy()
            for text, row, whole in zip(chunk, ids, again):
                ends = bool((row == found.end).any())
                fits = fits or ends
                if ends and UNKNOWN not in row and whole.decode() == text:
                    return {
                        "commonest": text,
                        "commonest_ids": row[: row.tolist().index(found.end)].tolist(),
                        "share": self._texts.counts[text] / found.rows,
                    }
        if not fits:
            raise ValueError(
                f"{self._field}.max_tokens: must be as long as one text of the training split, "
                f"received {most}, which is shorter than all"
            )
        return {}

    def _choices(self, found: Texts) -> dict[str, Any]:
        """The texts that the head chooses from, their ids and their rows.

        Raises:
            ValueError: one has a token that is not known, or too many of them, or they are fewer
                than two or more than 10,000.
        """
        chosen, counts = self._head.choices, self._texts.counts
        texts = sorted(counts) if not isinstance(chosen, list) else chosen
        if not 2 <= len(texts) <= MOST_CHOICES:
            raise ValueError(
                f"{self._field}.choices: must be 2 to {MOST_CHOICES} texts, received {len(texts)} "
                "in the training split"
            )
        tokens, most, ids = TargetTokens(found), self._head.max_tokens, []
        for chunk in _chunks(texts):
            for text, row in zip(chunk, tokens(tf.constant(chunk), most).numpy().tolist()):
                if found.end not in row:
                    raise ValueError(
                        f"{self._field}.choices: must have at most {most} tokens, max_tokens, "
                        f"received {text!r:.80}"
                    )
                if UNKNOWN in row:
                    raise ValueError(
                        f"{self._field}.choices: must consist of tokens that are in the training "
                        f"split's texts, received {text!r:.80}"
                    )
                ids.append(row[: row.index(found.end)])
        counted = [counts.get(text, 0) for text in texts]
        return {"choices": list(texts), "choice_ids": ids, "choice_counts": counted}


class _Repeated:
    """Each text as often as it occurs, in the order of the texts; iterated anew each time."""

    def __init__(self, counts: "collections.Counter[str]", normalize: Callable[[Any], Any]) -> None:
        self._counts, self._normalize = counts, normalize

    def __iter__(self) -> Iterator[str]:
        for chunk in _chunks(sorted(self._counts)):
            for text, read in zip(chunk, self._normalize(tf.constant(chunk)).numpy()):
                yield from itertools.repeat(read.decode(), self._counts[text])


def _chunks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(texts), _ROWS):
        yield texts[start : start + _ROWS]


@tf.function(input_signature=[CELLS], autograph=False)
def _count_clusters(cells: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return distinct(clusters(cut(cells)).values)
