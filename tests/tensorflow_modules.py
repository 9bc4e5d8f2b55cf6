"""Small networks of plain TensorFlow, without Keras, as others publish them."""

import numpy as np
import tensorflow as tf

WORDS = ["a", "red", "bird", "sings", "!"]


class ImageModule(tf.Module):
    """Images `(batch, 8, 8, 1)` to `feature_map` `(batch, 2, 2, 3)`, or `vector` `(batch, 3)`.

    It is plain TensorFlow, without Keras.
    """

    def __init__(self):
        super().__init__()
        random = np.random.default_rng(0)
        self.kernel = tf.Variable(
            random.normal(0, 0.3, (4, 4, 1, 3)).astype("float32"), name="kernel"
        )
        self.bias = tf.Variable(random.normal(0, 0.3, 3).astype("float32"), name="bias")
        self.count = tf.Variable(3, trainable=False, name="count")

    @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 1), tf.float32, "image")])
    def feature_map(self, image):
        return {
            "feature_map": tf.nn.tanh(
                tf.nn.conv2d(image, self.kernel, 4, "VALID") * tf.cast(self.count, tf.float32)
                + self.bias
            )
        }

    @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 1), tf.float32, "image")])
    def vector(self, image):
        return {"vector": tf.reduce_mean(self.feature_map(image)["feature_map"], [1, 2])}


class AudioModule(tf.Module):
    """One clip `(samples,)` to `scores` `(frames, 5)` and `embeddings` `(frames, 3)`, as YAMNet."""

    def __init__(self):
        super().__init__()
        self.kernel = tf.Variable(
            np.random.default_rng(0).normal(0, 0.3, (100, 3)).astype("float32"), name="kernel"
        )

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.float32, "waveform")])
    def __call__(self, waveform):
        embeddings = tf.nn.tanh(tf.signal.frame(waveform, 100, 100) @ self.kernel)
        return {"scores": tf.concat([embeddings, embeddings[:, :2]], 1), "embeddings": embeddings}


class HashedWords(tf.Module):
    """Strings `(batch,)` to the mean of their words' vectors `(batch, 3)`, one per hash bucket."""

    def __init__(self):
        super().__init__()
        self.vectors = tf.Variable(
            np.random.default_rng(0).normal(0, 1, (16, 3)).astype("float32"), name="vectors"
        )

    def words(self, sentences):
        return tf.strings.split(sentences)

    def numbers(self, words):
        return tf.strings.to_hash_bucket_fast(words, 16)

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, "sentences")])
    def __call__(self, sentences):
        words = self.words(sentences)
        numbers = tf.ragged.map_flat_values(self.numbers, words)
        summed = tf.reduce_sum(
            tf.ragged.map_flat_values(lambda one: tf.gather(self.vectors, one), numbers), 1
        )
        return {
            "default": summed
            / tf.maximum(tf.cast(words.row_lengths(), tf.float32), 1.0)[:, tf.newaxis]
        }


class ListedWords(HashedWords):
    """The same with a lookup table of words, from a file among the SavedModel's assets.

    Every other word is number 5. An operation of TensorFlow Text splits texts.
    """

    def __init__(self, file):
        super().__init__()
        lines = tf.lookup.TextFileInitializer(
            str(file),
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        )
        self.table = tf.lookup.StaticHashTable(lines, len(WORDS))

    def words(self, sentences):
        import tensorflow_text

        return tensorflow_text.WhitespaceTokenizer().tokenize(sentences)

    def numbers(self, words):
        return self.table.lookup(words)
