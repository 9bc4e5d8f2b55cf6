"""An exported model used from Python: cells as a table holds them in, a DataFrame of answers out."""

import contextlib
import itertools
import pathlib

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import tensorflow as tf

from multimodal_tf.config import HIGH, LOW, PROBABILITIES, PROBABILITY, QUANTILES, ROW, Config
from multimodal_tf.config.heads import prediction_keys
from multimodal_tf.config.saved_model import ASSETS, CONFIG_FILE, SCHEMA_FILE
from multimodal_tf.data import atomic
from multimodal_tf.data.codecs.cell import CellError
from multimodal_tf.data.kinds import read_cell
from multimodal_tf.data.progress import progress_bar
from multimodal_tf.data.table import Table
from multimodal_tf.schema import Schema, Subwords
from multimodal_tf.scoring.guard import AGREEMENT, OOD_SCORE, REVIEW

# rows that go through the graph at once
BATCH = 64
# batches that are written at once: a Parquet file of many small row groups is slow to read
_GROUP = 32


class Client:
    """A SavedModel written by `export_model`, loaded.

    Args:
        path: the version's folder, `.../NAME/VERSION`.

    Attributes:
        config: `Config` of the model.
        schema: `Schema` of the model; `schema.heads["label"].names` are the classes in the order of
        `label_probabilities`.
        judged: tuple of str, what a guard answers: `ood_score`, `agreement`, `review`; empty where
        the model was exported without one.

    Raises:
        FileNotFoundError: there is no SavedModel.
        ValueError: it was not written by `export_model`, or is damaged, or needs TensorFlow Text,
        which is not installed.

    Example:
        >>> Client("saved_models/digits/1").predict([{"photo": "seven.png", "written": "seven"}])  # doctest: +SKIP
    """

    def __init__(self, path):
        path = pathlib.Path(path)
        if not (path / "saved_model.pb").is_file():
            raise FileNotFoundError(
                f"{path} is no SavedModel: give the folder of a version, such as saved_models/NAME/1"
            )
        try:
            self.config = Config.load(path / ASSETS / CONFIG_FILE)
            self.schema = Schema.load(path / ASSETS / SCHEMA_FILE)
        except FileNotFoundError as error:
            raise ValueError(
                f"{path} was not written by export_model: {error.filename} is missing"
            ) from error
        subwords = any(isinstance(stats, Subwords) for stats in self.schema.inputs.values())
        if subwords or any(
            part.type == "text" and part.tokenizer.type == "none"
            for part in self.config.inputs.values()
        ):
            _load_text_operations(path)
        try:
            self._model = tf.saved_model.load(str(path))
        except (OSError, ValueError, IndexError, RuntimeError, tf.errors.OpError) as error:
            # ValueError: 0 bytes, IndexError: cut short
            raise ValueError(
                f"{path} is damaged, export it again: {' '.join(str(error).split())}"
            ) from error
        self._predict = self._model.signatures["serving_default"]
        self._keys = _keys(self.config)
        heads = prediction_keys(self.config.heads)
        self.judged = tuple(
            key
            for key in (OOD_SCORE, AGREEMENT, REVIEW)
            if key in self._predict.structured_outputs and key not in heads
        )

    def predict(self, rows, root="."):
        """Answers rows, 64 at a time.

        Args:
            rows: DataFrame, or iterable of dicts, by the table's column or by the input's name;
                other keys are ignored. A cell is what `data.kinds.read_cell` reads: a path,
                bytes, a data URI, base64, an array, a list of frames, text, a number. A key that is
                not there is a missing cell.
            root: folder that relative paths start from.

        Returns:
            DataFrame with one row for each row in order (a DataFrame's index is kept).
            Classification: `label` str, `label_probability` float32 of that class,
            `label_probabilities` float32 `(classes,)`. Multi-label: `tags` str, the labels of
            probability 0.5 or more joined by the head's separator, and `tags_probabilities`.
            Ordinal: as classification. Regression: float32. Quantile: `price` float32, the quantile
            nearest to the median, `price_low` and `price_high`, the bounds of the interval, and
            `price_quantiles` float32 `(quantiles,)`. Matching: float32, the probability that the
            two belong together. Embedding: float32 `(dim,)`. Where the model has a guard: `ood_score`
            and `agreement` float32 and `review` bool, whether a person should look, as an invalid
            row always needs. And `valid` bool; `error` str, each broken input and its reason;
            `present` str, names of the inputs that were used, joined by commas. An invalid row is
            answered from the inputs that it has.

        Raises:
            ValueError: there are keys, and none of them is an input's.
        """
        keys: list
        if isinstance(rows, pd.DataFrame):
            keys, index, records = list(rows.columns), rows.index, rows.to_dict("records")
        else:
            records = [dict(row) for row in rows]
            keys, index = (
                list(dict.fromkeys(key for row in records for key in row)),
                pd.RangeIndex(len(records)),
            )
        if keys:
            self.sources(keys)
        batches = (
            records[start : start + BATCH] for start in range(0, max(len(records), 1), BATCH)
        )
        return pd.concat([self._answer(batch, root) for batch in batches]).set_axis(index)

    def sources(self, keys):
        """Which of a table's `keys` each input reads: its column, or else its name. Inputs that
        find none are left out.

        Raises:
            ValueError: no input finds any.
        """
        # the first wins
        found = {
            name: key
            for name, wanted in self._keys.items()
            for key in reversed(wanted)
            if key in keys
        }
        if not found:
            wanted = ", ".join(repr(self.config.column(name)) for name in self.config.inputs)
            raise ValueError(
                f"none of the model's inputs is there: it reads {wanted}, received {list(keys)}"
            )
        return found

    def _answer(self, records, root):
        """One batch; it may be empty."""
        raw: dict[str, tf.Tensor] = {}
        faults: list[list[str]] = [[] for _ in records]
        for name, part in self.config.inputs.items():
            raw[name] = _tensor(
                part,
                [self._cell(record, name, root, fault) for record, fault in zip(records, faults)],
            )
        served = {name: tensor.numpy() for name, tensor in self._predict(**raw).items()}
        columns: dict = {}
        for name, head in self.config.heads.items():
            columns |= _head_columns(name, head, served)
        errors = [
            "; ".join([*fault, *filter(None, [said])])
            for fault, said in zip(faults, _texts(served["error"]))
        ]
        present = [
            ",".join(itertools.compress(self.config.inputs, flags)) for flags in served["present"]
        ]
        faulty = np.array(list(map(bool, faults)), dtype=bool)
        columns |= {
            key: served[key] | faulty if key == REVIEW else served[key] for key in self.judged
        }
        columns["valid"] = served["valid"] & ~faulty
        return pd.DataFrame(
            columns
            | {"error": pd.Series(errors, dtype="str"), "present": pd.Series(present, dtype="str")}
        )

    def _cell(self, record, name, root, fault):
        """The cell for the graph; a broken one is None and adds to `fault`."""
        value = next((record[key] for key in self._keys[name] if key in record), None)
        try:
            return read_cell(value, self.config.inputs[name], root)
        except CellError as error:
            fault.append(f"{name}: {error}")
            return None


def predict_table(client, table: Table, out_path, progress=False):
    """Answers every row of a table and writes a file; memory does not grow with the rows.

    Args:
        client: `Client`.
        table: `Table`. Columns that the model does not read are ignored.
        out_path: `.csv` or `.parquet` file to write, whole or not at all; an older one is replaced.
            Its columns are `row` (the row's number in the table, from 0) and those of
            `Client.predict`; in a CSV, probabilities are a JSON list.
        progress: whether to show on stderr how many rows are done.

    Returns:
        list of str, what the user should know: columns that the table lacks, and how many rows are
        not valid.

    Raises:
        ValueError: `out_path` has another ending, or no column of the table is an input's.
    """
    out_path = pathlib.Path(out_path)
    if out_path.suffix not in (".csv", ".parquet") or out_path.is_dir():
        raise ValueError(
            f"predictions are written to a .csv or .parquet file, received {str(out_path)!r}"
        )
    sources = client.sources(table.columns)
    lost = [name for name in client.config.inputs if name not in sources]
    notes = [
        f"{table.name} has no column {client.config.column(name)!r}: the input {name!r} is missing in every row"
        for name in lost
    ]
    done = invalid = 0
    out_path.parent.mkdir(parents=True, exist_ok=True)
    with (
        atomic.replacing(out_path) as temporary,
        _writer(temporary, out_path.suffix, client) as write,
        progress_bar("predict", "rows", shown=progress) as update,
    ):
        answers = (
            client.predict(chunk, table.root)
            for chunk in table.chunks(rows=BATCH, columns=list(dict.fromkeys(sources.values())))
        )
        while group := list(itertools.islice(answers, _GROUP)):
            frame = pd.concat(group).rename_axis(ROW).reset_index()
            write(frame)
            done, invalid = done + len(frame), invalid + int((~frame["valid"]).sum())
            update(completed=done)
    return notes + (
        [f"{invalid} of {done} rows are not valid: the column `error` says why"] if invalid else []
    )


def _load_text_operations(path):
    """Registers the operations of KerasHub's tokenizers, and of pretrained parts that take strings.

    TensorFlow Serving has them built in, Python's TensorFlow has not.
    """
    try:
        import tensorflow_text  # noqa: F401  only the import registers them, and it takes its time
    except ImportError as error:
        raise ValueError(
            f"{path} splits texts with TensorFlow Text, which is not installed: pip install tensorflow-text"
        ) from error


def _keys(config):
    """Under which keys of a row each input looks: its column, then its name, unless that is the
    column of another input.
    """
    columns = {name: config.column(name) for name in config.inputs}
    return {
        name: (column,) if name in columns.values() else (column, name)
        for name, column in columns.items()
    }


def _tensor(part, cells):
    """What `read_cell` gave for a batch as the graph takes it."""
    if part.type in ("number", "boolean"):
        return tf.constant([float("nan") if cell is None else cell for cell in cells], tf.float32)
    if part.type != "video":
        return tf.constant([b"" if cell is None else cell for cell in cells], tf.string)
    longest = max((len(cell) for cell in cells if cell), default=0)
    padded = [[*(cell or []), *[b""] * (longest - len(cell or []))] for cell in cells]
    return tf.reshape(tf.constant(padded, tf.string), [len(cells), longest])


def _texts(served):
    return [value.decode(errors="replace") for value in served]


def _head_columns(name, head, served):
    match head.type:
        case "regression" | "matching":
            return {name: served[name]}
        case "quantile":
            quantiles = served[name + QUANTILES]
            bounds = {name + LOW: quantiles[:, 0], name + HIGH: quantiles[:, -1]}
            return (
                {name: served[name]}
                | bounds
                | {name + QUANTILES: pd.Series(list(quantiles), dtype=object)}
            )
        case "embedding":
            return {name: pd.Series(list(served[name]), dtype=object)}
    probabilities = served[name + PROBABILITIES]
    columns = {name: pd.Series(_texts(served[name]), dtype="str")}
    if head.target_type == "class":
        columns[name + PROBABILITY] = probabilities.max(axis=1)
    return columns | {name + PROBABILITIES: pd.Series(list(probabilities), dtype=object)}


@contextlib.contextmanager
def _writer(path, suffix, client):
    """A function that appends a DataFrame to the file."""
    if suffix == ".parquet":
        schema = _parquet_schema(client)
        with pa.parquet.ParquetWriter(path, schema) as writer:
            yield lambda frame: writer.write_table(
                pa.Table.from_pandas(frame, schema, preserve_index=False)
            )
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            yield lambda frame: _in_text(frame).to_csv(file, index=False, header=file.tell() == 0)


def _parquet_schema(client):
    fields = [(ROW, pa.int64())]
    for name, head in client.config.heads.items():
        fields += _head_fields(name, head)
    fields += [(key, pa.bool_() if key == REVIEW else pa.float32()) for key in client.judged]
    return pa.schema(
        [*fields, ("valid", pa.bool_()), ("error", pa.string()), ("present", pa.string())]
    )


def _head_fields(name, head):
    """The columns of `_head_columns` for Parquet."""
    number, numbers = pa.float32(), pa.list_(pa.float32())
    match head.type:
        case "regression" | "matching":
            return [(name, number)]
        case "quantile":
            return [
                (name, number),
                (name + LOW, number),
                (name + HIGH, number),
                (name + QUANTILES, numbers),
            ]
        case "embedding":
            return [(name, numbers)]
    likeliest = [(name + PROBABILITY, number)] if head.target_type == "class" else []
    return [(name, pa.string()), *likeliest, (name + PROBABILITIES, numbers)]


def _in_text(frame):
    """Arrays as JSON lists, each number with as many digits as a float32 needs."""
    lists = {
        name: ["[" + ", ".join(map(str, row)) + "]" for row in frame[name]]
        for name in frame
        if _holds_arrays(frame[name])
    }
    return frame.assign(**lists)


def _holds_arrays(column):
    return len(column) > 0 and isinstance(column.iloc[0], np.ndarray)
