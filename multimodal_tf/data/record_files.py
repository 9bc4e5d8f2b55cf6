"""One row of a shard: a `tf.train.Example` with the row's number, its inputs and its labels, under
the configuration's names.

An input is the bytes that the served graph reads (an image file, a WAV file, UTF-8 text, a
category, a date), several of them (the frames of a video) or a float; a label is UTF-8 text or a
float. What is missing is "" or NaN, here as everywhere.
"""

import hashlib
import struct

import numpy as np
import tensorflow as tf

from multimodal_tf.config import labelled
from multimodal_tf.data import filesystem

# bytes that TFRecord adds to a record: its length, and a checksum each of that and of the record
FRAME = 16
# the directory beside shards of what ingest notes of each
PARTS = "parts"
# joins a row's labels of a multi-label head; alone, it says «no label applies», which is not
# «unknown»
LABEL_SEPARATOR = "\x1f"

# rows that are read at the same time where they are read one by one
_AT_A_TIME = 16
_MISSING = {"string": "", "float32": float("nan")}


def encode(row, inputs, labels):
    """Serialises one row.

    Args:
        row: int. The row's number in the table, from 0.
        inputs: dict of name to bytes, list of bytes (video) or float; a name that is not there is
        missing.
        labels: dict of name to str (multi-label: joined by `LABEL_SEPARATOR`) or float; likewise.

    Returns:
        bytes, the same for the same arguments: features are written in the order of their names.
    """
    feature = {"row": tf.train.Feature(int64_list=tf.train.Int64List(value=[row]))}
    for room, cells in (("inputs", inputs), ("labels", labels)):
        for name, value in cells.items():
            if isinstance(value, float):
                feature[f"{room}/{name}"] = tf.train.Feature(
                    float_list=tf.train.FloatList(value=[value])
                )
            else:
                several = (
                    value
                    if isinstance(value, list)
                    else [value.encode() if isinstance(value, str) else value]
                )
                feature[f"{room}/{name}"] = tf.train.Feature(
                    bytes_list=tf.train.BytesList(value=several)
                )
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    return example.SerializeToString(deterministic=True)


def parse(config, serialized):
    """Parses a batch of rows, inside or outside a `tf.data` map.

    Args:
        config: `Config`. Says which names there are and which are floats.
        serialized: string `(batch,)`, from `encode`.

    Returns:
        `(rows, inputs, labels)`: int64 `(batch,)`, and two dicts by name of string or float32
        `(batch,)`, missing "" or NaN; a video is string `(batch, frames)`, with "" after the last
        frame of a row that has fewer than another. A head without a column has ones.
    """
    spec = {"row": tf.io.FixedLenFeature([], tf.int64)}
    for name, input_config in config.inputs.items():
        spec[f"inputs/{name}"] = _feature(input_config.cell_dtype, input_config.cell_shape)
    for name, head in labelled(config.heads).items():
        spec[f"labels/{name}"] = _feature("float32" if head.target_type == "number" else "string")
    parsed = tf.io.parse_example(serialized, spec)
    inputs = {name: parsed[f"inputs/{name}"] for name in config.inputs}
    ones = tf.ones_like(parsed["row"], tf.float32)
    labels = {name: parsed.get(f"labels/{name}", ones) for name in config.heads}
    return parsed["row"], inputs, labels


def _feature(
    dtype: str, shape: tuple[int | None, ...] = ()
) -> tf.io.FixedLenFeature | tf.io.FixedLenSequenceFeature:
    """How a cell is parsed; a shape of None in the first axis is a list of any length."""
    missing = _MISSING[dtype]
    if shape[:1] == (None,):
        return tf.io.FixedLenSequenceFeature(
            shape[1:], dtype, allow_missing=True, default_value=missing
        )
    default = np.full([size or 0 for size in shape], missing).tolist()
    return tf.io.FixedLenFeature(shape, dtype, default_value=default)


def read(shards, rows):
    """Yields the undecoded rows of shard files in order, as string tensors `(rows,)`, the last one
    shorter.

    Raises:
        ValueError: a shard is damaged.
        FileNotFoundError: there is no such shard.
    """
    names = [filesystem.readable(filesystem.to_path(path)) for path in shards]
    try:
        yield from tf.data.TFRecordDataset(names).batch(rows).prefetch(1)
    except tf.errors.DataLossError as error:
        raise ValueError(
            f"a shard must be whole, but one of {names} is damaged ({error.message}): ingest the table again"
        ) from error
    except tf.errors.NotFoundError as error:
        raise FileNotFoundError(
            f"a shard is missing ({error.message}): ingest the table again"
        ) from error


def check(manifest, split, contents=False):
    """Checks the shards of a split against the manifest: their sizes, and with `contents` their
    hashes, for which all is read once.

    Hashes are checked on this machine's disks only: elsewhere each record's own checksums must do,
    which TensorFlow checks anyway.

    Raises:
        ValueError: a shard was changed or truncated since ingest.
        FileNotFoundError: a shard is missing.
    """
    for path, shard in zip(manifest.shards(split), manifest.splits.get(split, [])):
        if not path.is_file():
            raise FileNotFoundError(f"a shard is missing ({path}): ingest the table again")
        size = path.stat().st_size
        if size != shard.bytes:
            raise ValueError(
                f"{path} is damaged: it must have the {shard.bytes} bytes of ingest, received {size}: ingest the table again"
            )
        if contents and filesystem.is_local(path) and shard.sha256 and sha256(path) != shard.sha256:
            raise ValueError(
                f"{path} was changed: it must have the bytes that ingest wrote, received others: ingest the table again"
            )


def sha256(path):
    """The hash of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def reader(manifest, split):
    """Reads any rows of a split, wherever they stand: each by itself from its place in its shard,
    and checked against its checksums.

    Eight bytes a row are kept in memory, where it begins; sixteen while that is put together.

    Args:
        manifest: `Manifest`.
        split: str, one that has rows.

    Returns:
        A function from int64 `(n,)`, row numbers of the split, to string `(n,)`, undecoded rows,
        for use inside a `tf.data` map. Where a row is damaged it raises `tf.errors.DataLossError`.

    Raises:
        ValueError: a shard does not hold as many rows as the manifest says.
    """
    shards = manifest.splits[split]
    names = tf.constant([filesystem.readable(path) for path in manifest.shards(split)])
    first_rows = tf.constant(np.cumsum([0, *(shard.rows for shard in shards)]), tf.int64)
    first_bytes = tf.constant(np.cumsum([0, *(shard.bytes for shard in shards)]), tf.int64)
    begins = _begins(manifest, split, first_bytes.numpy())

    def read_row(row):
        shard = tf.searchsorted(first_rows, row[tf.newaxis], side="right") - 1
        begin, size = begins[row], begins[row + 1] - begins[row]
        place = begin - tf.gather(first_bytes, shard)
        # with a buffer of the record's own size, that is all that is read of the file
        records = tf.raw_ops.TFRecordDatasetV2(
            filenames=tf.gather(names, shard),
            compression_type="",
            buffer_size=size,
            byte_offsets=place,
        )
        return (
            tf.data.experimental.from_variant(records, tf.TensorSpec([], tf.string))
            .take(1)
            .get_single_element()
        )

    def read_rows(rows):
        return tf.map_fn(
            read_row,
            rows,
            fn_output_signature=tf.TensorSpec([], tf.string),
            parallel_iterations=_AT_A_TIME,
        )

    return read_rows


def lengths_path(shard):
    """Where the lengths of a shard's records are: uint32 each, little-endian, in the order of the
    rows.
    """
    return shard.parent / PARTS / f"{shard.stem}.lengths"


def _begins(manifest, split, first_bytes):
    """Where each row of a split begins, in bytes from the first shard's begin on, and where the
    last one ends: int64 `(rows + 1,)`.
    """
    parts = []
    for path, shard, first in zip(manifest.shards(split), manifest.splits[split], first_bytes):
        sizes = _lengths(path, shard).astype(np.int64) + FRAME
        parts.append(tf.constant(first + np.cumsum(sizes) - sizes))
    # twice the memory, for a moment
    return tf.concat([*parts, tf.constant(first_bytes[-1:])], axis=0)


def _lengths(path, shard):
    """The lengths of a shard's records, as ingest wrote them; otherwise from the records' own
    heads.
    """
    listed = lengths_path(path)
    content = listed.read_bytes() if listed.is_file() else b""
    lengths = np.frombuffer(content[: len(content) // 4 * 4], "<u4")
    if not _fit(lengths, shard):
        lengths = np.fromiter(_walk(path, shard.bytes), "<u4")
    if not _fit(lengths, shard):
        raise ValueError(
            f"{path} must hold {shard.rows} rows as the manifest says, received {len(lengths)}: ingest again"
        )
    return lengths


def _fit(lengths, shard):
    return (
        len(lengths) == shard.rows
        and lengths.sum(dtype=np.int64) + FRAME * len(lengths) == shard.bytes
    )


def _walk(path, size):
    place = 0
    with path.open("rb") as file:
        while place < size:
            file.seek(place)
            (length,) = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))
            # no head of a record
            if length > size - place:
                return
            yield length
            place += length + FRAME
