"""One row of a shard: a `tf.train.Example` with the row's number, its inputs and its labels, under the configuration's names.

An input is the bytes that the served graph reads (an image file, a WAV file, UTF-8 text, a category, a date), several of them (the frames
of a video) or a float; a label is UTF-8 text or a float. What is missing is "" or NaN, here as everywhere.
"""

import tensorflow as tf

from multimodal_tf.config import labelled

LABEL_SEPARATOR = "\x1f"  # joins a row's labels of a multi-label head; alone, it says «no label applies», which is not «unknown»

_FLOATS = ("number", "boolean")
_BYTES = tf.io.FixedLenFeature([], tf.string, default_value="")
_LIST = tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True, default_value="")
_FLOAT = tf.io.FixedLenFeature([], tf.float32, default_value=float("nan"))


def encode(row, inputs, labels):
    """Serialises one row.

    Args:
        row: int. The row's number in the table, from 0.
        inputs: dict of name to bytes, list of bytes (video) or float; a name that is not there is missing.
        labels: dict of name to str (multi-label: joined by `LABEL_SEPARATOR`) or float; likewise.

    Returns:
        bytes, the same for the same arguments: features are written in the order of their names.
    """
    feature = {"row": tf.train.Feature(int64_list=tf.train.Int64List(value=[row]))}
    for room, cells in (("inputs", inputs), ("labels", labels)):
        for name, value in cells.items():
            if isinstance(value, float):
                feature[f"{room}/{name}"] = tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
            else:
                several = value if isinstance(value, list) else [value.encode() if isinstance(value, str) else value]
                feature[f"{room}/{name}"] = tf.train.Feature(bytes_list=tf.train.BytesList(value=several))
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    return example.SerializeToString(deterministic=True)


def parse(config, serialized):
    """Parses a batch of rows, inside or outside a `tf.data` map.

    Args:
        config: `Config`. Says which names there are and which are floats.
        serialized: string `(batch,)`, from `encode`.

    Returns:
        `(rows, inputs, labels)`: int64 `(batch,)`, and two dicts by name of string or float32 `(batch,)`, missing "" or NaN; a video is
        string `(batch, frames)`, with "" after the last frame of a row that has fewer than another. A head without a column has ones.
    """
    spec = {"row": tf.io.FixedLenFeature([], tf.int64)}
    for name, part in config.inputs.items():
        spec[f"inputs/{name}"] = _FLOAT if part.type in _FLOATS else _LIST if part.type == "video" else _BYTES
    for name, head in labelled(config.heads).items():
        spec[f"labels/{name}"] = _FLOAT if head.label == "number" else _BYTES
    parsed = tf.io.parse_example(serialized, spec)
    inputs = {name: parsed[f"inputs/{name}"] for name in config.inputs}
    ones = tf.ones_like(parsed["row"], tf.float32)
    labels = {name: parsed.get(f"labels/{name}", ones) for name in config.heads}
    return parsed["row"], inputs, labels


def read(shards, rows):
    """Yields the undecoded rows of shard files in order, as string tensors `(rows,)`, the last one shorter.

    Raises:
        ValueError: a shard is damaged.
        FileNotFoundError: there is no such shard.
    """
    names = [str(path) for path in shards]
    try:
        yield from tf.data.TFRecordDataset(names).batch(rows).prefetch(1)
    except tf.errors.DataLossError as error:
        raise ValueError(f"a shard must be whole, but one of {names} is damaged ({error.message}): ingest the table again") from error
    except tf.errors.NotFoundError as error:
        raise FileNotFoundError(f"a shard is missing ({error.message}): ingest the table again") from error
