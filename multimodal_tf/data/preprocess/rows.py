"""A batch of raw cells to the tensors that a model reads: the one preprocessing, in training and in the served graph.

A broken cell never fails a batch. Images and sounds are decoded in a `tf.data` pipeline inside the graph, which drops an element that
fails and goes on; what came through is put back at its row.
"""

import tensorflow as tf

from multimodal_tf.config import PRESENT
from multimodal_tf.data.preprocess import audio, image, text

DAMAGED = {"image": "damaged image", "audio": "damaged sound"}  # the header is well, what follows is not
NOT_FINITE = "not a finite number"
_LOUDEST = 32768.0


class Preprocessor(tf.Module):
    """Preprocessing for one configuration and what its training split taught.

    Track it where a graph that calls it is saved: it holds lookup tables.

    Args:
        config: `Config`.
        schema: `Schema` of the same inputs.

    Raises:
        ValueError: the schema lacks an input of the configuration.
    """

    def __init__(self, config, schema):
        super().__init__(name="preprocessor")
        self._parts = dict(config.inputs)
        self._presence = config.fusion.presence
        self._means = {}
        self._tables = {}
        for name, part in config.inputs.items():
            if part.type in ("text", "category", "number") and name not in schema.inputs:
                raise ValueError(f"the schema must hold what training taught about the input {name!r}, received {sorted(schema.inputs)}")
            if part.type == "text":
                self._tables[name] = text.vocabulary(schema.inputs[name].words, text.UNKNOWN + 1, text.UNKNOWN)
            elif part.type == "category":
                self._tables[name] = text.vocabulary(schema.inputs[name].words, 1, 0)
            elif part.type == "number":
                self._means[name] = schema.inputs[name].mean
        # Traced once, which takes seconds, however many graphs and eager calls use it.
        self._graph = tf.function(self._features, input_signature=[self.raw_spec], autograph=False)

    @property
    def raw_spec(self):
        """What `features` takes: dict by input of `tf.TensorSpec`, float32 `(None,)` for a number, else string `(None,)`."""
        kinds = {name: tf.float32 if part.type == "number" else tf.string for name, part in self._parts.items()}
        return {name: tf.TensorSpec([None], kind, name=name) for name, kind in kinds.items()}

    def features(self, raw):
        """Decodes a batch of cells into compact tensors.

        Args:
            raw: dict by input as `raw_spec` says. "" or NaN is missing, and so is text of white space only.

        Returns:
            `(features, errors)`. `features`, a dict, holds for an image uint8 `(batch, height, width, channels)`, a sound int16
            `(batch, samples)`, a text int32 `(batch, max_tokens)` (`text.tokens`; a text without any word is one unknown word), a category
            int32 `(batch,)` (0: not seen in training), a number float32 `(batch,)`; and `{name}_present` float32 `(batch,)`, 0 or 1. What
            is missing or broken is all zeros (a number: the training mean). `errors`, string `(batch,)`, is "" or "name: reason", joined
            by "; ", for the broken cells of a row; the row's other cells are as they would be without it.
        """
        spec = self.raw_spec
        return self._graph({name: tf.convert_to_tensor(raw[name], spec[name].dtype) for name in self._parts})

    def model_inputs(self, features):
        """The model's inputs from `features`: images float32 0..1, sounds float32 -1..1, the rest as it is; presence if fusion wants it."""
        scale = {"image": 1 / 255, "audio": 1 / _LOUDEST}
        inputs = {}
        for name, part in self._parts.items():
            tensor = features[name]
            inputs[name] = tf.cast(tensor, tf.float32) * scale[part.type] if part.type in scale else tensor
            if self._presence:
                inputs[name + PRESENT] = features[name + PRESENT]
        return inputs

    def _features(self, raw):
        features, reasons = {}, []
        for name, part in self._parts.items():
            features[name], present, reason = self._read(name, part, raw[name])
            features[name + PRESENT] = tf.cast(present, tf.float32)
            reasons.append(tf.where(reason == "", "", tf.strings.join([f"; {name}: ", reason])))
        return features, tf.strings.regex_replace(tf.strings.join(reasons), "^; ", "", replace_global=False)

    def _read(self, name, part, cells):
        """`(tensor, present, reason)` of one input's cells."""
        if part.type == "image":
            return _decoded(
                cells,
                lambda data: image.problem(data, part.max_pixels),
                lambda data: image.decode(data, part.height, part.width, part.channels),
                tf.zeros([part.height, part.width, part.channels], tf.uint8),
                DAMAGED["image"],
            )
        if part.type == "audio":
            silence = tf.zeros([part.samples], tf.int16)
            return _decoded(
                cells, audio.problem, lambda data: audio.decode(data, part.sample_rate, part.samples), silence, DAMAGED["audio"]
            )
        if part.type == "number":
            return _numbers(cells, self._means[name])
        reason = text.problem(cells)
        present = ~text.blank(cells) & (reason == "")
        readable = tf.where(present, cells, "")
        if part.type == "category":
            return tf.cast(self._tables[name].lookup(tf.strings.strip(readable)), tf.int32) * tf.cast(present, tf.int32), present, reason
        return _with_a_word(text.tokens(readable, self._tables[name], part.max_tokens), present), present, reason


def _numbers(cells, mean):
    present = tf.math.is_finite(cells)
    reason = tf.where(tf.math.is_inf(cells), NOT_FINITE, "")
    return tf.where(present, cells, mean), present, reason


def _with_a_word(tokens, present):
    """Gives a text of punctuation only one unknown word, so that a mask over tokens is never empty where the text is present."""
    wordless = present & (tokens[:, 0] == text.PADDING)
    first = tf.where(wordless, text.UNKNOWN, tokens[:, 0])
    return tf.concat([first[:, tf.newaxis], tokens[:, 1:]], 1)


def _decoded(cells, problem, decode, nothing, damaged):
    reason = _each(cells, problem)
    readable = (cells != "") & (reason == "")
    rows = tf.where(readable)[:, 0]
    # The last row, beyond the batch, is a sentinel: a set without elements could not be batched.
    count = tf.shape(cells, out_type=tf.int64)[0]
    sentinel = tf.data.Dataset.from_tensors((count, nothing))
    decoded = tf.data.Dataset.from_tensor_slices((rows, tf.gather(cells, rows)))
    decoded = decoded.map(lambda row, data: (row, tf.ensure_shape(decode(data), nothing.shape)), tf.data.AUTOTUNE, deterministic=True)
    done, values = decoded.ignore_errors().concatenate(sentinel).batch(count + 1).get_single_element()
    tensor = tf.scatter_nd(done[:, tf.newaxis], values, tf.concat([[count + 1], tf.shape(nothing, out_type=tf.int64)], 0))[:-1]
    present = tf.scatter_nd(done[:, tf.newaxis], tf.fill(tf.shape(done), 1), [count + 1])[:-1] > 0
    reason = tf.where(readable & ~present, damaged, tf.where(cells == "", "", reason))
    return tf.ensure_shape(tensor, [None, *nothing.shape]), present, reason


def _each(cells, function):
    """`function` of each scalar cell, in parallel; a last empty cell keeps the set from being empty."""
    padded = tf.concat([cells, [""]], 0)
    mapped = tf.data.Dataset.from_tensor_slices(padded).map(function, tf.data.AUTOTUNE, deterministic=True)
    return tf.ensure_shape(mapped.batch(tf.size(padded, tf.int64)).get_single_element(), [None])[:-1]
