"""An exported model used from Python: cells as a table holds them in, a DataFrame out."""

import functools
import os
import pathlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf

from multimodal_tf.config import ALIGNED, Config
from multimodal_tf.config.heads import prediction_keys
from multimodal_tf.config.names import DISAGREEMENT, LOG_PROBABILITY
from multimodal_tf.config.saved_model.files import ASSETS, CONFIG_FILE, SCHEMA_FILE
from multimodal_tf.config.saved_model.form import load_exported
from multimodal_tf.config.saved_model.load import check_own_files
from multimodal_tf.data import table
from multimodal_tf.data.codecs.cell import Cell
from multimodal_tf.data.requests import of_cells
from multimodal_tf.schema import Schema
from multimodal_tf.scoring.guard import REVIEW, SERVED
from multimodal_tf.serving import (
    given_texts,
    request_cells,
    search,
    signature,
    text_operations,
    zero_shot,
)
from multimodal_tf.serving.columns import head_columns, of_whole_numbers, status
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
        self._model = load_exported(path)
        signature.check(path, self.config, self.schema, self._model)
        self._predict = self._model.signatures["serving_default"]
        self._embed = self._model.signatures.get("embed")
        self._sample = self._model.signatures.get("sample")
        self._score = self._model.signatures.get("score")
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
            ValueError: no key is an input's, rows are no table or dicts, or two columns are alike.
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
            DataFrame as `predict` gives it, of the heads that sample alone: texts, but of
            `decoder: ctc`, and images with a latent vector.

        Raises:
            ValueError: no head samples, there are not as many seeds as rows, or as `predict`.
        """
        if self._sample is None:
            raise ValueError(
                "the model must have a head that samples, of texts or of images with a latent "
                f"vector, and be exported anew where it has, received {list(self.config.heads)}"
            )
        listed, index = self._listed(rows)
        if len(seeds) != len(listed):
            raise ValueError(f"seeds must be {len(listed)}, one a row, received {len(seeds)}")
        frames = [
            self._predict_batch(batch, root, seeds[number * BATCH :][:BATCH])
            for number, batch in enumerate(batches(listed))
        ]
        return pd.concat(frames).set_axis(index)

    def score(
        self,
        rows: Rows,
        texts: Mapping[str, Sequence[str]],
        root: str | os.PathLike[str] = ".",
    ) -> pd.DataFrame:
        """The log probability of a given text for each row, 64 at a time.

        Args:
            rows, root: as in `predict`.
            texts: by text head one for each row.

        Returns:
            DataFrame with `{head}_log_probability` float32, in nats, of the text with its end; and
            `valid`, `error` and `present` as `predict` gives them. What an empty text, a long one
            and a row without inputs get: `scores.score`.

        Raises:
            ValueError: a head of `texts` scores none, there are not as many texts as rows, or as
                `predict`.
        """
        listed, index = self._listed(rows)
        given_texts.check(texts, self.config, self._score is not None, len(listed))
        frames = []
        for number, batch in enumerate(batches(listed)):
            own = {name: one[number * BATCH :][: len(batch)] for name, one in texts.items()}
            targets = given_texts.targets(own, self.config, len(batch))
            endpoint = functools.partial(self._score, **targets)
            served, faults = self._served(batch, root, endpoint)
            columns = {name + LOG_PROBABILITY: served[name + LOG_PROBABILITY] for name in own}
            frames.append(columns | status(served, list(self.config.inputs), faults))
        return pd.concat(map(pd.DataFrame, frames)).set_axis(index)

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
        if isinstance(rows, pd.DataFrame):
            # a column may be called 0
            keys: list[str] = table.column_names(rows)
            index: pd.Index[Any] = rows.index
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
        cells, _ = self._cells(rows, root, names)
        vectors = self._serve(cells, self._embed)
        # an input that the graph refused has a vector of zeros
        present = [
            vectors[name].any(axis=1) if name in vectors else np.ones(len(rows), bool)
            for name in cells
        ]
        if request_cells.convert(self.config, cells, np.stack(present, axis=1)):
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
        served, faults = self._served(rows, root, endpoint)
        columns: dict[str, Any] = {}
        for name, head in self.config.heads.items():
            if name not in served:
                continue
            columns |= head_columns(name, head, served)
            if name in self.whole_numbers:
                columns[name] = np.array(list(map(int, columns[name])), np.int64)
        if self.zero_shot is not None and seeds is None:
            columns |= zero_shot.columns(self.zero_shot[0], served)
        faulty = np.array(list(map(bool, faults)), dtype=bool)
        columns |= {key: served[key] for key in self.disagreement_keys if key in served}
        for key in self.guard_keys if seeds is None else ():
            columns[key] = served[key] | faulty if key == REVIEW else served[key]
        return pd.DataFrame(columns | status(served, list(self.config.inputs), faults))

    def _served(
        self, rows: Sequence[Row], root: str | os.PathLike[str], endpoint: Any
    ) -> tuple[dict[str, np.ndarray], list[list[str]]]:
        """What an endpoint serves for a batch, and what is broken in each of its rows."""
        cells, faults = self._cells(rows, root, self.config.inputs)
        served = self._serve(cells, endpoint)
        if request_cells.convert(self.config, cells, served["present"]):
            served = self._serve(cells, endpoint)
        return served, faults

    def _serve(
        self, cells: Mapping[str, Sequence[Cell | None]], endpoint: Any = None
    ) -> dict[str, np.ndarray]:
        # a fork has none of TensorFlow's threads, and would wait for them
        if os.getpid() != self._process:
            raise RuntimeError("this Client was loaded before a fork: load one in each process")
        raw = {name: of_cells(one, cells[name]) for name, one in self.config.inputs.items()}
        served = (endpoint or self._predict)(**raw)
        return {name: tensor.numpy() for name, tensor in served.items()}

    def _cells(
        self, rows: Sequence[Row], root: str | os.PathLike[str], names: Collection[str]
    ) -> tuple[dict[str, list[Cell | None]], list[list[str]]]:
        folder = root if self.paths else None
        return request_cells.of_rows(rows, self._keys, self.config, names, folder)
