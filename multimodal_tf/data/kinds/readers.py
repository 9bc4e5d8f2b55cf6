"""One reader for each type of input: its cells to a compact tensor, and that to the model's input.

A reader has `spec`, the `tf.TensorSpec` of a batch of cells; `read(cells)`, which returns `(tensor,
present, reason)` with bool and string `(batch,)`; and `model_input(tensor)`. What is missing or
broken is all zeros (a number or a date: the training mean) and absent, and only the broken have a
reason. A broken cell never fails a batch.
"""

import tensorflow as tf

from multimodal_tf.config import (
    AudioInput,
    BooleanInput,
    CategoryInput,
    DateInput,
    ImageInput,
    NumberInput,
    TextInput,
    VideoInput,
)
from multimodal_tf.data.codecs import image, iso8601, riff
from multimodal_tf.data.codecs.decode_rows import decoded
from multimodal_tf.data.kinds.video import VideoReader
from multimodal_tf.data.tokenizers import normalization
from multimodal_tf.data.tokenizers.graph_tokenizers import TOKENIZERS

# the header is well, what follows is not
DAMAGED = {"image": "damaged image", "audio": "damaged sound"}
NOT_FINITE = "not a finite number"
NOT_A_BOOLEAN = "neither 0 nor 1"

_CELLS = tf.TensorSpec([None], tf.string)
_LOUDEST = 32768.0


class _Reader(tf.Module):
    """Reads cells that are strings, and gives the model the compact tensor as it is."""

    spec = _CELLS

    def __init__(self, part, stats):
        super().__init__()
        self._part = part

    def model_input(self, tensor):
        return tensor


class ImageReader(_Reader):
    """A file's bytes to uint8 `(batch, height, width, channels)`, and that to float32 0..1."""

    def read(self, cells):
        part = self._part
        return decoded(
            cells,
            lambda data: image.problem(data, part.max_pixels),
            lambda data: image.decode(data, part.height, part.width, part.channels),
            tf.zeros([part.height, part.width, part.channels], tf.uint8),
            DAMAGED["image"],
        )

    def model_input(self, tensor):
        return tf.cast(tensor, tf.float32) / 255


class AudioReader(_Reader):
    """A WAV file's bytes to int16 `(batch, samples)`, and that to float32 -1..1."""

    def read(self, cells):
        part = self._part
        silence = tf.zeros([part.samples], tf.int16)
        return decoded(
            cells,
            riff.problem,
            lambda data: riff.decode(data, part.sample_rate, part.samples),
            silence,
            DAMAGED["audio"],
        )

    def model_input(self, tensor):
        return tf.cast(tensor, tf.float32) / _LOUDEST


class TextReader(_Reader):
    """UTF-8 to int32 `(batch, max_tokens)`: the tokenizer's ids, framed by its start and end where
    it has them, then its padding.

    What is missing is padding alone, and what is there has at least one other id.
    """

    def __init__(self, part, stats):
        super().__init__(part, stats)
        self._tokenize = TOKENIZERS[part.tokenizer.type](part.tokenizer, stats)
        self._padding, self._unknown = (
            getattr(stats, "padding", normalization.PADDING),
            getattr(stats, "unknown", normalization.UNKNOWN),
        )
        ends = (getattr(stats, "start", None), getattr(stats, "end", None))
        self._before, self._after = ([] if end is None else [end] for end in ends)

    def read(self, cells):
        readable, present, reason = _readable(cells)
        room = self._part.max_tokens - len(self._before) - len(self._after)
        ids = tf.cast(self._tokenize(readable, room)[:, :room], tf.int32)
        frame = [
            tf.tile(tf.constant([end], tf.int32), [tf.shape(cells)[0], 1])
            for end in (self._before, self._after)
        ]
        tokens = tf.concat([frame[0], ids, frame[1]], 1).to_tensor(
            self._padding, shape=[None, self._part.max_tokens]
        )
        tokens = tf.where(present[:, tf.newaxis], tokens, self._padding)
        return self._never_empty(tokens, present), present, reason

    def _never_empty(self, tokens, present):
        """So that a mask over tokens is never empty where the text is present."""
        empty = present & tf.reduce_all(tokens == self._padding, 1)
        first = tf.where(empty, self._unknown, tokens[:, 0])
        return tf.concat([first[:, tf.newaxis], tokens[:, 1:]], 1)


class StringReader(_Reader):
    """UTF-8 as it is, string `(batch,)`; "" where it is missing."""

    def read(self, cells):
        readable, present, reason = _readable(cells)
        return normalization.cut(readable), present, reason


def _text_reader(part, stats):
    return StringReader(part, stats) if part.tokenizer.type == "none" else TextReader(part, stats)


class CategoryReader(_Reader):
    """UTF-8 to int32 `(batch,)`: 0 is a value that training did not see."""

    def __init__(self, part, stats):
        super().__init__(part, stats)
        self._table = normalization.vocabulary(stats.words, 1, 0)

    def read(self, cells):
        readable, present, reason = _readable(cells)
        return (
            tf.cast(self._table.lookup(tf.strings.strip(readable)), tf.int32)
            * tf.cast(present, tf.int32),
            present,
            reason,
        )


class NumberReader(_Reader):
    """float32 `(batch,)` as it is; NaN is missing."""

    spec = tf.TensorSpec([None], tf.float32)

    def __init__(self, part, stats):
        super().__init__(part, stats)
        self._mean = stats.mean

    def read(self, cells):
        present = tf.math.is_finite(cells)
        return (
            tf.where(present, cells, self._mean),
            present,
            tf.where(tf.math.is_inf(cells), NOT_FINITE, ""),
        )


class BooleanReader(_Reader):
    """float32 `(batch,)`, 1 or 0, as it is; NaN is missing."""

    spec = tf.TensorSpec([None], tf.float32)

    def read(self, cells):
        present = (cells == 0) | (cells == 1)
        return (
            tf.cast(cells == 1, tf.float32),
            present,
            tf.where(present | tf.math.is_nan(cells), "", NOT_A_BOOLEAN),
        )


class DateReader(_Reader):
    """UTF-8 in ISO 8601 to int32 `(batch, 2)`: days since 1970-01-01 and seconds of the day, in UTC
    (`date.parse`).
    """

    def __init__(self, part, stats):
        super().__init__(part, stats)
        self._mean = [round(stats.mean), 0]

    def read(self, cells):
        moments, valid = iso8601.parse(cells)
        return (
            tf.where(valid[:, tf.newaxis], moments, self._mean),
            valid,
            tf.where(valid | normalization.blank(cells), "", iso8601.NOT_A_DATE),
        )


READERS: dict = {
    ImageInput: ImageReader,
    AudioInput: AudioReader,
    VideoInput: VideoReader,
    TextInput: _text_reader,
    CategoryInput: CategoryReader,
    NumberInput: NumberReader,
    BooleanInput: BooleanReader,
    DateInput: DateReader,
}


def _readable(cells):
    """`(cells, present, reason)` of UTF-8 texts; cells that are missing or broken are ""."""
    reason = normalization.problem(cells)
    present = ~normalization.blank(cells) & (reason == "")
    return tf.where(present, cells, ""), present, reason
