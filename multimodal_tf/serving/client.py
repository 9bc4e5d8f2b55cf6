"""An exported model used from Python: cells as a table holds them in, a DataFrame out."""

import functools
import itertools
import os
import pathlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf

from multimodal_tf.config import ALIGNED, Config
from multimodal_tf.config.heads import prediction_keys
from multimodal_tf.config.names import DISAGREEMENT
from multimodal_tf.config.saved_model.files import ASSETS, CONFIG_FILE, SCHEMA_FILE
from multimodal_tf.config.saved_model.load import check_own_files, load
from multimodal_tf.data import table
from multimodal_tf.data.codecs.cell import Cell, CellError
from multimodal_tf.data.kinds import kind_of, read_cell
from multimodal_tf.data.requests import of_cells
from multimodal_tf.schema import Schema
from multimodal_tf.scoring.guard import REVIEW, SERVED
from multimodal_tf.serving import search, signature, text_operations, zero_shot
from multimodal_tf.serving.columns import column, head_columns, of_whole_numbers, texts
from multimodal_tf.serving.rows import BATCH, Row, Rows, batches, dicts, keys_of
from multimodal_tf.serving.search_index import SearchIndex


class Client:
    """A SavedModel written by `export_model`, loaded.

    Args:
        path: the version's folder, `.../NAME/VERSION`.
        paths: whether a cell may name a file of this machine. Give False where the rows come from
            others, as behind a web service: a path is then that cell's error, the same for every
            path, and no file is looked for. Bytes, data URIs, base64 and arrays are always taken.

    Attributes:
        config: `Config` of the model.
        schema: `Schema` of the model; `schema.heads["label"].names` are the classes in the order of
            `label_probabilities`.
        paths: bool, as given.
        served: `tf.TensorSpec` by served key.
        fingerprint: str, a hash of the graph and the weights.
        zero_shot: the head and the names of the classes that it chooses by texts; None: none.
        guard_keys: tuple of str, the served keys of a guard: `ood_score`, `agreement`,
            `compared`, `review`; empty where the model was exported without one.
        whole_numbers: frozenset of str, the heads whose classes are whole numbers, and come back as
            such.
        disagreement_keys: tuple of str, those of an ensemble: `{head}_disagreement`.

    Raises:
        FileNotFoundError: there is no SavedModel.
        ValueError: it was not written by `export_model`, or is damaged, or its configuration is
            another model's, or it or its graph leads to other files, or it needs TensorFlow Text,
            which is not installed.

    Example:
        >>> client = Client("saved_models/digits/1")  # doctest: +SKIP
        >>> client.predict([{"photo": "seven.png", "written": "seven"}])  # doctest: +SKIP
    """

    def __init__(self, path: str | os.PathLike[str], paths: bool = True) -> None:
        path = pathlib.Path(path)
        self.paths = paths
        self._process = os.getpid()
        if not (path / "saved_model.pb").is_file():
            raise FileNotFoundError(
                f"{path} is no SavedModel: give the folder of a version, "
                "such as saved_models/NAME/1"
            )
        check_own_files(path)
        try:
            self.config = Config.load(path / ASSETS / CONFIG_FILE)
            self.schema = Schema.load(path / ASSETS / SCHEMA_FILE)
        except FileNotFoundError as error:
            raise ValueError(
                f"{path} was not written by export_model: {error.filename} is missing"
            ) from error
        if text_operations.needed(self.config, self.schema):
            text_operations.register(path)
        self._model = load(path)
        signature.check(path, self.config, self.schema, self._model)
        self._predict = self._model.signatures["serving_default"]
        self._embed = self._model.signatures.get("embed")
        self._sample = self._model.signatures.get("sample")
        self.fingerprint = search.fingerprint(path)
        self.served: dict[str, tf.TensorSpec] = self._predict.structured_outputs
        self._keys = keys_of(self.config)
        heads = prediction_keys(self.config.heads)
        self.whole_numbers = of_whole_numbers(self.config, self.schema)
        self.zero_shot = zero_shot.load(path)
        given = (name + DISAGREEMENT for name in self.config.heads)
        self.disagreement_keys = tuple(key for key in given if key in self.served)
        self.guard_keys = tuple(key for key in SERVED if key in self.served and key not in heads)

    def predict(self, rows: Rows, root: str | os.PathLike[str] = ".") -> pd.DataFrame:
        """Predicts rows, 64 at a time.

        Args:
            rows: DataFrame, iterable of dicts, or a dict, which is one row, by the table's column
                or by the input's name; other keys are ignored. A cell is what
                `data.kinds.read_cell` reads: a path, bytes, a data URI, base64, an array, a list of
                frames or numbers, text, a number. A key that does not exist is a missing cell.
            root: folder that relative paths start from, where paths are taken.

        Returns:
            DataFrame with one row for each row in order (a DataFrame's index is kept).
            For each head what `endpoints.predictions` serves: a class (int64 where all classes of
            the head are whole numbers) or classes str, an image bytes of PNG, a number float32,
            several numbers float32 `(numbers,)`; and for a class `{name}_probability` float32, its
            probability, for quantiles `{name}_low` and `{name}_high`, the bounds of the interval.
            With classes by texts (`zero_shot`): `{head}_class` str, "" where no other input is
            present, and `{head}_class_probability` float32. With an ensemble: `{head}_disagreement`
            float32, 0 where its models agree. With a guard: `ood_score` and `agreement` float32 and
            `review` bool, whether a person should look, as an invalid row always needs. And `valid`
            bool; `error` str, each broken input and its reason; `present` str, names of the inputs
            that were used, joined by commas. An invalid row is predicted from its other inputs.

        Raises:
            ValueError: there are keys, and none of them is an input's; rows are neither a DataFrame
                nor dicts, or two columns have one name.
        """
        listed, index = self._listed(rows)
        frames = [self._predict_batch(batch, root) for batch in batches(listed)]
        return pd.concat(frames).set_axis(index)

    def sample(
        self, rows: Rows, seeds: Sequence[int], root: str | os.PathLike[str] = "."
    ) -> pd.DataFrame:
        """Draws a prediction at random for each row, 64 at a time.

        Args:
            rows, root: as in `predict`.
            seeds: an integer for each row: equal cells and seeds give equal predictions.

        Returns:
            DataFrame as `predict` gives it, of the heads that sample alone: images with a latent
            vector.

        Raises:
            ValueError: no head samples, there are not as many seeds as rows, or as `predict`.
        """
        if self._sample is None:
            raise ValueError(
                "no head samples: give an image head a latent vector and train it anew, received "
                f"{list(self.config.heads)}"
            )
        listed, index = self._listed(rows)
        if len(seeds) != len(listed):
            raise ValueError(f"seeds must be {len(listed)}, one a row, received {len(seeds)}")
        frames = [
            self._predict_batch(batch, root, seeds[number * BATCH :][:BATCH])
            for number, batch in enumerate(batches(listed))
        ]
        return pd.concat(frames).set_axis(index)

    def embed(
        self,
        rows: Rows,
        root: str | os.PathLike[str] = ".",
        inputs: Collection[str] | None = None,
    ) -> dict[str, np.ndarray]:
        """The vectors of rows, 64 at a time.

        Args:
            rows, root: as in `predict`.
            inputs: the inputs whose cells are read; the others count as missing. None: all.

        Returns:
            By name what the endpoint `embed` serves, float32 `(rows, dim)`: each input's vector,
            `fused`, and of alignment heads `{head}_aligned_{input}`, of length 1; zeros where an
            input is missing or its cell cannot be read.

        Raises:
            ValueError: there are keys, and none of them is an input's; or the model was exported
                without `embed`.
        """
        if self._embed is None:
            raise ValueError("the exported model must have the endpoint 'embed', received none")
        listed, _ = self._listed(rows)
        names = list(self.config.inputs) if inputs is None else inputs
        found = [self._embed_batch(batch, root, names) for batch in batches(listed)]
        return {name: np.concatenate([each[name] for each in found]) for name in found[0]}

    def index(
        self,
        rows: Rows,
        input: str,
        head: str | None = None,
        root: str | os.PathLike[str] = ".",
    ) -> SearchIndex:
        """The vectors of one input of all rows that have it, to search among them.

        Args:
            rows, root: as in `predict`.
            input: whose cells are to be found.
            head: the alignment head; None: the only one that aligns this input.

        Returns:
            `SearchIndex`; its numbers are those of the rows in order, from 0.

        Raises:
            ValueError: no alignment head, or more than one, aligns the input; or as `predict`.

        Example:
            >>> photos = client.index(table, "photo")  # doctest: +SKIP
            >>> client.search([{"title": "a red shoe"}], photos, by="title")  # doctest: +SKIP
        """
        head = search.space_of(self.config, [input], head)
        vectors = self._aligned(rows, root, head, input)
        present = np.flatnonzero(vectors.any(axis=1))
        return SearchIndex(head, input, self.fingerprint, present, vectors[present])

    def search(
        self,
        rows: Rows,
        index: SearchIndex,
        by: str,
        first: int = 10,
        root: str | os.PathLike[str] = ".",
    ) -> pd.DataFrame:
        """The rows of an index that are nearest to each row's cell of another input.

        All rows are compared, in blocks: 100,000 rows need no matrix of all pairs.

        Args:
            rows, root: as in `predict`.
            index: of `Client.index`, of the same model.
            by: the input of `rows` that is the query.
            first: how many rows of the index for each query.

        Returns:
            DataFrame with the columns `query`, number of the row in `rows`, from 0; `rank`, from 1;
            `row`, number in the index; `cosine` float32. A row whose cell is missing or cannot be
            read has none.

        Raises:
            ValueError: the index is another model's, its head does not align `by`, `first` is below
                1, or as `predict`.
        """
        search.check_index(self.config, index, by, self.fingerprint)
        return search.nearest_rows(self._aligned(rows, root, index.head, by), index, first)

    def _aligned(
        self,
        rows: Rows,
        root: str | os.PathLike[str],
        head: str,
        name: str,
    ) -> np.ndarray:
        inputs = self.config.vector_inputs()[name]
        return self.embed(rows, root, inputs)[head + ALIGNED + name]

    def _listed(self, rows: Rows) -> tuple[list[Any], "pd.Index[Any]"]:
        """The rows as dicts, and their index."""
        listed: list[dict[Any, Any]]
        keys: list[str]
        index: pd.Index[Any]
        if isinstance(rows, pd.DataFrame):
            # a column may be called 0
            keys, index = table.column_names(rows), rows.index
            listed = list(rows.set_axis(keys, axis=1).to_dict("records"))
        else:
            listed = dicts(rows)
            keys = list(dict.fromkeys(key for row in listed for key in row))
            index = pd.RangeIndex(len(listed))
        if keys:
            self.sources(keys)
        return listed, index

    def _embed_batch(
        self, rows: Sequence[Row], root: str | os.PathLike[str], names: Collection[str]
    ) -> dict[str, np.ndarray]:
        """Vectors of one batch; it may be empty."""
        faults: list[str] = []
        cells = {
            name: [self._cell(row, name, root, faults) if name in names else None for row in rows]
            for name in self.config.inputs
        }
        vectors = self._serve(cells, self._embed)
        # an input that the graph refused has a vector of zeros
        present = [
            vectors[name].any(axis=1) if name in vectors else np.ones(len(rows), bool)
            for name in cells
        ]
        if self._convert(cells, np.stack(present, axis=1)):
            vectors = self._serve(cells, self._embed)
        return {name: found for name, found in vectors.items() if name != "error"}

    def sources(self, keys: Collection[Any]) -> dict[str, str]:
        """The key that each input reads: its column, or else its name.

        Args:
            keys: of a row, or the columns of a table.

        Returns:
            dict of input to key; inputs that find none are left out.

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
                f"none of the model's inputs is present: it reads {wanted}, received {list(keys)}"
            )
        return found

    def _predict_batch(
        self, rows: Sequence[Row], root: str | os.PathLike[str], seeds: Sequence[int] | None = None
    ) -> pd.DataFrame:
        """One batch, which may be empty; with seeds its drawn predictions."""
        endpoint = self._predict
        if seeds is not None:
            endpoint = functools.partial(self._sample, seed=tf.constant(seeds, tf.int64))
        faults: list[list[str]] = [[] for _ in rows]
        cells = {
            name: [self._cell(row, name, root, fault) for row, fault in zip(rows, faults)]
            for name in self.config.inputs
        }
        served = self._serve(cells, endpoint)
        if self._convert(cells, served["present"]):
            served = self._serve(cells, endpoint)
        columns: dict[str, Any] = {}
        for name, head in self.config.heads.items():
            if name not in served:
                continue
            columns |= head_columns(name, head, served)
            if name in self.whole_numbers:
                columns[name] = np.array(list(map(int, columns[name])), np.int64)
        if self.zero_shot is not None and seeds is None:
            name = self.zero_shot[0]
            columns[name + zero_shot.CLASS] = column(served[name + zero_shot.CLASS])
            probabilities = served[name + zero_shot.PROBABILITIES]
            columns[name + zero_shot.PROBABILITY] = probabilities.max(axis=1)
        errors = [
            "; ".join([*fault, *filter(None, [error])])
            for fault, error in zip(faults, texts(served["error"]))
        ]
        present = [
            ",".join(itertools.compress(self.config.inputs, flags)) for flags in served["present"]
        ]
        faulty = np.array(list(map(bool, faults)), dtype=bool)
        columns |= {key: served[key] for key in self.disagreement_keys if key in served}
        for key in self.guard_keys if seeds is None else ():
            columns[key] = served[key] | faulty if key == REVIEW else served[key]
        columns["valid"] = served["valid"] & ~faulty
        columns["error"] = pd.Series(errors, dtype="str")
        columns["present"] = pd.Series(present, dtype="str")
        return pd.DataFrame(columns)

    def _serve(
        self, cells: Mapping[str, Sequence[Cell | None]], endpoint: Any = None
    ) -> dict[str, np.ndarray]:
        # a fork has none of TensorFlow's threads, and would wait for them
        if os.getpid() != self._process:
            raise RuntimeError("this Client was loaded before a fork: load one in each process")
        raw = {name: of_cells(one, cells[name]) for name, one in self.config.inputs.items()}
        served = (endpoint or self._predict)(**raw)
        return {name: tensor.numpy() for name, tensor in served.items()}

    def _convert(self, cells: Mapping[str, list[Cell | None]], present: np.ndarray) -> bool:
        """Converts cells that the graph refused, as ingest does; whether there were any."""
        found = False
        for (name, one), flags in zip(self.config.inputs.items(), present.T):
            if not one.is_media:
                continue
            for row, cell in enumerate(cells[name]):
                if cell and not flags[row]:
                    converted, reason = kind_of(one).checked(cell)
                    if not reason:
                        cells[name][row], found = converted, True
        return found

    def _cell(
        self, row: Row, name: str, root: str | os.PathLike[str], fault: list[str]
    ) -> Cell | None:
        """The cell for the graph; a broken one is None and adds to `fault`."""
        value = next((row[key] for key in self._keys[name] if key in row), None)
        try:
            folder = root if self.paths else None
            return read_cell(value, self.config.inputs[name], folder, self.config.missing)
        except CellError as error:
            fault.append(f"{name}: {error}")
            return None
