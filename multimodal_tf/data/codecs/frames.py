"""Several pictures in one string: how a request to an exported model holds a video.

A second free axis of a served input is no choice: TensorFlow Serving's batcher pads it with cells
of other rows.
"""

from collections.abc import Sequence

import tensorflow as tf

from multimodal_tf.data.codecs.file_decoder import FileDecoder

# the feature of the `tf.train.Example` that lists the image files
FEATURE = "frames"
NO_FRAMES = f"neither an image file nor a tf.train.Example with pictures in its feature '{FEATURE}'"
# what a serialized `tf.train.Example` begins with, and no image file does
_BEGIN = b"\n"


def pack(files: Sequence[bytes]) -> bytes:
    """One string for the image files of a video; a GIF that is the only one stays as it is.

    Example:
        >>> pack([b"GIF89a"]), pack([]), pack([b"first", b"second"])[:1]
        (b'GIF89a', b'', b'\\n')
    """
    if not files:
        return b""
    if len(files) == 1 and not files[0].startswith(_BEGIN):
        return files[0]
    frames = tf.train.Feature(bytes_list=tf.train.BytesList(value=files))
    example = tf.train.Example(features=tf.train.Features(feature={FEATURE: frames}))
    packed: bytes = example.SerializeToString(deterministic=True)
    return packed


def unpack(cells: tf.Tensor) -> tuple[tf.RaggedTensor, tf.Tensor]:
    """The image files of each row, inside a graph.

    Args:
        cells: string `(batch,)`: an image file, a serialized `tf.train.Example` whose feature
            `frames` lists several, or "".

    Returns:
        `(files, reason)`: string `(batch, any)` and `(batch,)`. A row that is no image file and
        cannot be parsed has no files, and a reason.
    """
    is_packed = tf.strings.substr(cells, 0, 1) == _BEGIN
    # parsing a batch with a damaged row fails: this finds such rows
    _, valid, reason = _EXAMPLES.decode(tf.where(is_packed, cells, ""))
    parsed = tf.io.parse_example(tf.where(valid, cells, ""), {FEATURE: _RAGGED})[FEATURE]
    alone = tf.RaggedTensor.from_row_lengths(
        tf.boolean_mask(cells, ~is_packed), tf.cast(~is_packed, tf.int64)
    )
    return tf.concat([parsed, alone], axis=1), reason


def _checked(data: tf.Tensor) -> tf.Tensor:
    """The data, where they can be parsed and hold a feature `frames` that is not empty."""
    parsed = tf.io.parse_single_example(data, {FEATURE: _RAGGED})[FEATURE]
    with tf.control_dependencies([tf.debugging.assert_positive(tf.size(parsed))]):
        return tf.identity(tf.size(parsed))


_RAGGED = tf.io.RaggedFeature(tf.string, row_splits_dtype=tf.int64)
_EXAMPLES = FileDecoder(
    lambda data: tf.constant(""), _checked, tf.TensorSpec([], tf.int32), NO_FRAMES
)
