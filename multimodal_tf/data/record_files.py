"""Record files: each row is a `tf.train.Example` with its number, its inputs and its labels.

An input is what the served graph reads: bytes, several of them, or numbers; a label is UTF-8 text
or a number. Missing cells are "" or NaN. A single number is float64, kept as its 64 bits.
"""

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from io import BufferedReader
from typing import cast

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from multimodal_tf.config import Config
from multimodal_tf.config.heads import with_column
from multimodal_tf.data import cell_identity, filesystem
from multimodal_tf.data.codecs.cell import Cell
from multimodal_tf.data.filesystem import Path, PathLike
from multimodal_tf.data.manifest import Manifest, Shard

# bytes that TFRecord adds to a record: its length, and checksums of the length and of the record
FRAME = 16
# the directory, beside the shards, of ingest's notes on each shard
PARTS = "parts"
# joins the labels of a row that may have several; alone, it means that no label applies, which is
# not the same as a missing label
LABEL_SEPARATOR = "\x1f"

# rows that are read in parallel where they are read one by one
_AT_A_TIME = 16
_MISSING = {"string": "", "float32": float("nan")}
# the bits of NaN, as an integer
_NAN = int(np.array(np.nan).view(np.int64))


def encode(row: int, inputs: Mapping[str, Cell], labels: Mapping[str, str | float]) -> bytes:
    """Serialises one row.

    Args:
        row: the row's number in the table, from 0.
        inputs: cells by name; a missing cell has no entry.
        labels: labels by name (several: joined by `LABEL_SEPARATOR`); a missing label has no entry.

    Returns:
        The same bytes for the same arguments: features are written in the order of their names.
    """
    feature = {"row": tf.train.Feature(int64_list=tf.train.Int64List(value=[row]))}
    for room, cells in (("inputs", inputs), ("labels", labels)):
        for name, value in cells.items():
            several = value if isinstance(value, list) else [value]
            if isinstance(value, float):
                bits = int(np.array(value, np.float64).view(np.int64))
                one = tf.train.Feature(int64_list=tf.train.Int64List(value=[bits]))
            elif several and isinstance(several[0], float):
                one = tf.train.Feature(float_list=tf.train.FloatList(value=several))
            else:
                encoded = [each.encode() if isinstance(each, str) else each for each in several]
                one = tf.train.Feature(bytes_list=tf.train.BytesList(value=encoded))
            feature[f"{room}/{name}"] = one
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    serialized: bytes = example.SerializeToString(deterministic=True)
    return serialized


@tf.autograph.experimental.do_not_convert
def parse(
    config: Config, serialized: tf.Tensor
) -> tuple[tf.Tensor, dict[str, tf.Tensor], dict[str, tf.Tensor]]:
    """Parses a batch of rows, inside or outside a `tf.data` map.

    Args:
        config: `Config`, for the names and the dtypes of cells and labels.
        serialized: string `(batch,)`, from `encode`.

    Returns:
        `(rows, inputs, labels)`: int64 `(batch,)`, and two dicts by name. Inputs are `(batch,
        *cell_shape)` of `cell_dtype`, missing "" or NaN; where a cell is a list, shorter rows are
        padded with "". Labels are string or float64 `(batch,)`; a head without a column has ones,
        but one that compares cells int64 `(batch, cells)`, of `cell_identity`.
    """
    spec = {"row": tf.io.FixedLenFeature([], tf.int64)}
    for name, input_config in config.inputs.items():
        spec[f"inputs/{name}"] = _feature(input_config.cell_dtype, input_config.cell_shape)
    with_number = {
        name: head.target_type == "number" for name, head in with_column(config.heads).items()
    }
    for name, head in with_column(config.heads).items():
        spec[f"labels/{name}"] = _feature("float64" if head.target_type == "number" else "string")
    parsed = tf.io.parse_example(serialized, spec)
    inputs = {
        name: _cells(parsed[f"inputs/{name}"], one.cell_dtype)
        for name, one in config.inputs.items()
    }
    ones = tf.ones_like(parsed["row"], tf.float32)
    labels = dict.fromkeys(config.heads, ones) | {
        name: _cells(parsed[f"labels/{name}"], "float64" if is_number else "string")
        for name, is_number in with_number.items()
    }
    labels |= cell_identity.of_heads(config, inputs)
    return parsed["row"], inputs, labels


def parse_labels(config: Config, serialized: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """Rows and labels as `parse` gives them, of heads with a column; no cell is read."""
    of_labels = config.model_copy(update={"inputs": {}, "heads": with_column(config.heads)})
    rows, _, labels = parse(of_labels, serialized)
    return rows, labels


def _feature(
    dtype: str, shape: tuple[int | None, ...] = ()
) -> tf.io.FixedLenFeature | tf.io.FixedLenSequenceFeature:
    """How a cell is parsed; a shape of None in the first axis is a list of any length."""
    if dtype != "string" and not shape:
        return tf.io.FixedLenFeature([], tf.int64, default_value=_NAN)
    missing = _MISSING[dtype]
    if shape[:1] == (None,):
        return tf.io.FixedLenSequenceFeature(
            shape[1:], dtype, allow_missing=True, default_value=missing
        )
    default = np.full([size or 0 for size in shape], missing).tolist()
    return tf.io.FixedLenFeature(shape, dtype, default_value=default)


def _cells(parsed: tf.Tensor, dtype: str) -> tf.Tensor:
    """Parsed cells in their type: a single number was kept as its bits."""
    return tf.cast(tf.bitcast(parsed, tf.float64), dtype) if parsed.dtype == tf.int64 else parsed


def read(shards: Iterable[PathLike], rows: int) -> Iterator[tf.Tensor]:
    """Yields the undecoded rows of shards in order, as string `(rows,)`, the last batch shorter.

    Raises:
        ValueError: a shard is damaged.
        FileNotFoundError: a shard does not exist.
    """
    names = [filesystem.readable(filesystem.to_path(path)) for path in shards]
    try:
        yield from tf.data.TFRecordDataset(names).batch(rows).prefetch(1)
    except tf.errors.DataLossError as error:
        raise ValueError(
            f"a shard must be whole, but one of {names} is damaged ({error.message}): ingest the"
            " table again"
        ) from error
    except tf.errors.NotFoundError as error:
        raise FileNotFoundError(
            f"a shard is missing ({error.message}): ingest the table again"
        ) from error


def check(manifest: Manifest, split: str, contents: bool = False) -> None:
    """Checks the shards of a split against the manifest.

    Sizes are checked, and with `contents` also hashes, for which all shards are read. Hashes are
    checked on local disks only; TensorFlow always checks the checksums of each record.

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
                f"{path} is damaged: it must have the {shard.bytes} bytes of ingest, received"
                f" {size}: ingest the table again"
            )
        if contents and filesystem.is_local(path) and shard.sha256 and sha256(path) != shard.sha256:
            raise ValueError(
                f"{path} was changed: it must have the bytes that ingest wrote, received others:"
                " ingest the table again"
            )


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(cast("BufferedReader", file), "sha256").hexdigest()


def reader(manifest: Manifest, split: str) -> Callable[[tf.Tensor], tf.Tensor]:
    """Random access to the rows of a split, each read by itself and checked by its checksums.

    Memory holds the offset of each row, eight bytes; sixteen while the offsets are computed.

    Args:
        manifest: `Manifest`.
        split: a split that has rows.

    Returns:
        A function from int64 `(n,)`, row numbers of the split, to string `(n,)`, undecoded rows,
        for use inside a `tf.data` map. It raises `tf.errors.DataLossError` for a damaged row.

    Raises:
        ValueError: a shard does not hold as many rows as the manifest says.
    """
    shards = manifest.splits[split]
    names = tf.constant([filesystem.readable(path) for path in manifest.shards(split)])
    first_rows = tf.constant(np.cumsum([0, *(shard.rows for shard in shards)]), tf.int64)
    first_bytes = tf.constant(np.cumsum([0, *(shard.bytes for shard in shards)]), tf.int64)
    begins = _begins(manifest, split, first_bytes.numpy())

    def read_row(row: tf.Tensor) -> tf.Tensor:
        shard = tf.searchsorted(first_rows, row[tf.newaxis], side="right") - 1
        begin, size = begins[row], begins[row + 1] - begins[row]
        offset = begin - tf.gather(first_bytes, shard)
        # with a buffer of the record's size, no other byte of the file is read
        records = tf.raw_ops.TFRecordDatasetV2(
            filenames=tf.gather(names, shard),
            compression_type="",
            buffer_size=size,
            byte_offsets=offset,
        )
        return (
            tf.data.experimental.from_variant(records, tf.TensorSpec([], tf.string))
            .take(1)
            .get_single_element()
        )

    def read_rows(rows: tf.Tensor) -> tf.Tensor:
        return tf.map_fn(
            read_row,
            rows,
            fn_output_signature=tf.TensorSpec([], tf.string),
            parallel_iterations=_AT_A_TIME,
        )

    return read_rows


def lengths_path(shard: Path) -> Path:
    """The file of the lengths of a shard's records: uint32, little-endian, in the rows' order."""
    return shard.parent / PARTS / f"{shard.stem}.lengths"


def _begins(manifest: Manifest, split: str, first_bytes: npt.NDArray[np.int64]) -> tf.Tensor:
    """The offset of each row in the concatenated shards, and their size: int64 `(rows + 1,)`."""
    parts = []
    for path, shard, first in zip(manifest.shards(split), manifest.splits[split], first_bytes):
        sizes = _lengths(path, shard).astype(np.int64) + FRAME
        parts.append(tf.constant(first + np.cumsum(sizes) - sizes))
    # twice the memory, for a moment
    return tf.concat([*parts, tf.constant(first_bytes[-1:])], axis=0)


def _lengths(path: Path, shard: Shard) -> npt.NDArray[np.uint32]:
    """The lengths of a shard's records, from ingest's file, or else from the records' headers."""
    listed = lengths_path(path)
    content = listed.read_bytes() if listed.is_file() else b""
    lengths = np.frombuffer(content[: len(content) // 4 * 4], "<u4")
    if not _fit(lengths, shard):
        lengths = np.fromiter(_walk(path, shard.bytes), "<u4")
    if not _fit(lengths, shard):
        raise ValueError(
            f"{path} must hold {shard.rows} rows as the manifest says, received {len(lengths)}:"
            " ingest again"
        )
    return lengths


def _fit(lengths: npt.NDArray[np.uint32], shard: Shard) -> bool:
    return (
        len(lengths) == shard.rows
        and lengths.sum(dtype=np.int64) + FRAME * len(lengths) == shard.bytes
    )


def _walk(path: Path, size: int) -> Iterator[int]:
    offset = 0
    with path.open("rb") as file:
        while offset < size:
            file.seek(offset)
            (length,) = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))
            # no header of a record
            if length > size - offset:
                return
            yield length
            offset += length + FRAME
