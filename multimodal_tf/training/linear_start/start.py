"""Solves the heads that are linear over fixed features, and writes the solution into them."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import layers
from scipy import sparse

from multimodal_tf.config import (
    ClassificationHead,
    Config,
    Head,
    RegressionHead,
)
from multimodal_tf.data.cache import FrozenCells
from multimodal_tf.data.filesystem import PathLike
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.pipeline import open_split
from multimodal_tf.models import heads
from multimodal_tf.models.heads.multi_label import label_weights
from multimodal_tf.schema import Schema
from multimodal_tf.training.linear_start.fixed_columns import Columns, fixed_columns
from multimodal_tf.training.linear_start.regression import (
    Linear,
    Rows,
    centred,
    ridge_regression,
    sigmoid_regression,
    softmax_regression,
    weighed,
)

# rows that are read at a time
_BATCH = 256
# rows for which tracing a graph takes longer than it saves
_FEW = 2048
# numbers of features that are kept in memory, 1 GB; beyond, the first rows of a shuffled split
_VALUES = 2**28
# share of zeros from which features are sparse
_SPARSE = 0.8
# columns of a group whose weight is chosen, and how many groups at most
_WIDE, _GROUPS = 32, 8

Weights = list[npt.NDArray[Any]]


def start_linear_heads(
    model: keras.Model,
    config: Config,
    schema: Schema,
    records: PathLike,
    frozen: FrozenCells | None = None,
) -> dict[str, Weights]:
    """The first weights of the heads that read fixed features by one Dense layer.

    Fixed features are vectors of frozen towers and those that `wide` towers add. Such a head is a
    convex problem, which logistic regression (classes), one per label (several labels) or ridge
    regression (numbers) solves; the validation rows select the strength of L2. What is trained
    later begins at zero there.

    Args:
        model: of `build_model`, with its first weights.
        config, schema: of the model.
        records: folder that `ingest` wrote.
        frozen: as for `load_split`, while the model is `started_after` it.

    Returns:
        By layer, the weights for `set_weights`: kernel and bias. Empty where no head is such.

    Source: Cheng et al. 2016, arXiv:1606.07792 (wide and deep); Kumar et al. 2022,
    arXiv:2202.10054 (a linear head first, then fine-tuning).
    """
    found: dict[str, Weights] = {}
    for name, head in config.heads.items():
        layer = _dense_layer(model, name, head)
        columns = [] if layer is None else fixed_columns(_read_by(layer))
        # presence flags alone are no features
        if layer is None or not any(one.width > 1 for one in columns):
            continue
        read = _Reader(model, _read_by(layer), columns, config, schema, records, name, frozen)
        train, validation = read("train"), read("validation")
        if train is not None:
            solve = functools.partial(_solve, head, schema.heads[name])
            groups = _groups(columns)
            weigh = functools.partial(weighed, solve, groups=groups)
            solved = centred(weigh, train, validation, groups)
            found[layer.name] = _weights(layer, columns, solved)
    return found


def _dense_layer(model: keras.Model, name: str, head: Head) -> layers.Dense | None:
    """The layer that maps the fused vector to logits, or to a number; None if there is none."""
    match head:
        case ClassificationHead(loss="crossentropy"):
            last = name
        case RegressionHead():
            last = f"{name}_normalised"
        case _ if head.target_type == "classes":
            last = name
        case _:
            return None
    for layer in model.layers:
        if layer.name == last and isinstance(layer, layers.Dense):
            return layer if layer.trainable and not layer.lora_enabled else None
    return None


def _read_by(layer: layers.Dense) -> keras.KerasTensor:
    given = layer.input
    return given[0] if isinstance(given, list | tuple) else given


@dataclasses.dataclass(frozen=True)
class _Reader:
    """Reads the rows of a head: the fixed columns of `vector`, a Keras tensor of the model."""

    model: keras.Model
    vector: keras.KerasTensor
    columns: list[Columns]
    config: Config
    schema: Schema
    records: PathLike
    head: str
    frozen: FrozenCells | None

    def __call__(self, split: str) -> Rows | None:
        """The rows of a split that bear the label; None: there are none."""
        if not Manifest.load(self.records).rows(split):
            return None
        vectors = self._vectors(Manifest.load(self.records).rows(split))
        chosen = np.concatenate([np.arange(one.width) + one.start for one in self.columns])
        blocks, targets, weights, values = [], [], [], 0.0
        for inputs, y, weight in self._batches(split):
            bears = np.asarray(weight[self.head]) > 0
            if not bears.any():
                continue
            x = np.asarray(vectors(inputs), np.float32)[bears][:, chosen]
            found = float(np.count_nonzero(x))
            is_sparse = found < (1 - _SPARSE) * x.size
            blocks.append(sparse.csr_array(x) if is_sparse else x)
            targets.append(np.asarray(y[self.head])[bears])
            weights.append(np.asarray(weight[self.head], np.float64)[bears])
            values += found if is_sparse else x.size
            if values > _VALUES:
                break
        if not blocks:
            return None
        some_sparse = any(sparse.issparse(one) for one in blocks)
        x = sparse.vstack(blocks, format="csr") if some_sparse else np.concatenate(blocks)
        return Rows(x, np.concatenate(targets), np.concatenate(weights))

    def _vectors(self, rows: int) -> Callable[[Any], Any]:
        """A function from a batch of model inputs to their vectors, for so many rows."""
        wanted = keras.Model(self.model.input, self.vector)

        def vectors(x: Any) -> Any:
            return self.model.outputs_of(x, training=False, model=wanted)

        if rows <= _FEW:
            return vectors
        graph: Callable[[Any], Any] = tf.function(vectors, reduce_retracing=True, autograph=False)
        return graph

    def _batches(self, split: str) -> Any:
        batches = open_split(
            self.config, self.schema, self.records, split, True, _BATCH, frozen=self.frozen
        )
        return batches(0, tf.Variable(0, dtype=tf.int64))


def _groups(columns: list[Columns]) -> list[slice]:
    """The fixed columns of each text, image or sound, as they stand side by side."""
    ends = np.cumsum([one.width for one in columns]).tolist()
    groups = [slice(end - one.width, end) for one, end in zip(columns, ends) if one.width >= _WIDE]
    # each costs two more regressions
    return groups if len(groups) <= _GROUPS else []


def _solve(head: Any, stats: Any, train: Rows, validation: Rows | None) -> Linear:
    match head:
        case RegressionHead():
            return ridge_regression(
                _normalised(train, stats),
                None if validation is None else _normalised(validation, stats),
            )
        case _ if head.target_type == "classes":
            shares = np.array(heads.prior(head, stats))
            priors = np.log(shares / (1 - shares)).tolist()
            return sigmoid_regression(train, validation, priors, *label_weights(head, stats))
        case _:
            priors = np.log(heads.prior(head, stats)).tolist()
            return softmax_regression(train, validation, priors)


def _normalised(rows: Rows, stats: Any) -> Rows:
    """The rows with targets of mean 0 and standard deviation 1 in training."""
    return rows._replace(y=(rows.y.ravel() - (stats.mean - stats.centre)) / stats.std)


def _weights(layer: layers.Dense, columns: list[Columns], solved: Linear) -> Weights:
    # what is trained later says nothing yet
    kernel = np.zeros(layer.kernel.shape, np.float32)
    row = 0
    for start, width in columns:
        kernel[start : start + width] = solved.kernel[row : row + width]
        row += width
    return [kernel, solved.bias.astype("float32")]
