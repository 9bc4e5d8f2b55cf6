"""A batch of raw cells to the tensors that a model reads: the one preprocessing, in training and in
the served graph.

A broken cell never fails a batch.
"""

import tensorflow as tf

from multimodal_tf.config import PRESENT
from multimodal_tf.data.kinds.readers import READERS

# types of input whose reader needs what training taught
_STATS = ("text", "category", "number", "date")
# but for these tokenizers
_NO_STATS = ("ngrams", "none")


class Preprocessor(tf.Module):
    """Preprocessing for one configuration and what its training split taught.

    Track it where a graph that calls it is saved: it holds lookup tables.

    Args:
        config: `Config`.
        schema: `Schema` of the same inputs.

    Raises:
        ValueError: the schema lacks an input of the configuration, or was learned for another
            tokenizer, or `max_tokens` leaves no room for a token between the tokenizer's start and
            end.
    """

    def __init__(self, config, schema):
        super().__init__(name="preprocessor")
        for name, part in config.inputs.items():
            _check_learnt(name, part, schema)
        self._readers = {
            name: READERS[type(part)](part, schema.inputs.get(name))
            for name, part in config.inputs.items()
        }
        self._presence = config.fusion.presence
        # Traced once, which takes seconds, however many graphs and eager calls use it.
        self._graph = tf.function(self._features, input_signature=[self.raw_spec], autograph=False)

    @property
    def raw_spec(self):
        """What `features` takes: dict by input of `tf.TensorSpec`, float32 `(None,)` for a number
        or a boolean, string `(None, None)` for a video (its frames), else string `(None,)`."""
        return {
            name: tf.TensorSpec(reader.spec.shape, reader.spec.dtype, name)
            for name, reader in self._readers.items()
        }

    def features(self, raw):
        """Decodes a batch of cells into compact tensors.

        Args:
            raw: dict by input as `raw_spec` says. "" or NaN is missing, and so is text of white
                space only.

        Returns:
            `(features, errors)`. `features`, a dict, holds for an image uint8 `(batch, height,
            width, channels)`, a video uint8 `(batch, frames, height, width, channels)`, a sound
            int16 `(batch, samples)`, a text int32 `(batch, max_tokens)` (`TextReader`; a text
            without any word is one unknown word), a category int32 `(batch,)` (0: not seen in
            training), a number float32 `(batch,)`, a boolean float32 `(batch,)`, 0 or 1, a date
            int32 `(batch, 2)` (`date.parse`); and `{name}_present` float32 `(batch,)`, 0 or 1. What
            is missing or broken is all zeros (a number or a date: the training mean). `errors`,
            string `(batch,)`, is "" or "name: reason", joined by "; ", for the broken cells of a
            row; its other cells are as they would be without it.
        """
        spec = self.raw_spec
        return self._graph(
            {name: tf.convert_to_tensor(raw[name], spec[name].dtype) for name in self._readers}
        )

    def model_inputs(self, features):
        """The model's inputs from `features`: images and videos float32 0..1, sounds float32 -1..1,
        the rest as it is; and presence, if fusion wants it."""
        inputs = {}
        for name, reader in self._readers.items():
            inputs[name] = reader.model_input(features[name])
            if self._presence:
                inputs[name + PRESENT] = features[name + PRESENT]
        return inputs

    def _features(self, raw):
        features, reasons = {}, []
        for name, reader in self._readers.items():
            features[name], present, reason = reader.read(raw[name])
            features[name + PRESENT] = tf.cast(present, tf.float32)
            reasons.append(tf.where(reason == "", "", tf.strings.join([f"; {name}: ", reason])))
        return features, tf.strings.regex_replace(
            tf.strings.join(reasons), "^; ", "", replace_global=False
        )


def _check_learnt(name, part, schema):
    stats = schema.inputs.get(name)
    if (
        stats is None
        and part.type in _STATS
        and (part.type != "text" or part.tokenizer.type not in _NO_STATS)
    ):
        raise ValueError(
            f"the schema must hold what training taught about the input {name!r}, received {sorted(schema.inputs)}"
        )
    if part.type != "text" or part.tokenizer.type in _NO_STATS:
        return
    field, taught = f"inputs.{name}.tokenizer", getattr(stats, "tokenizer", stats.type)
    if taught != part.tokenizer.type:
        raise ValueError(
            f"{field}: must be {taught!r}, which the schema was learned with, received {part.tokenizer.type!r}"
        )
    if taught == "preset" and stats.preset != part.tokenizer.preset:
        raise ValueError(
            f"{field}.preset: must be {stats.preset!r}, which the schema was taken from, received {part.tokenizer.preset!r}"
        )
    framing = sum(getattr(stats, end, None) is not None for end in ("start", "end"))
    if part.max_tokens <= framing:
        raise ValueError(
            f"inputs.{name}.max_tokens: must be more than the {framing} ids that frame every text of its preset, received {part.max_tokens}"
        )
