"""What a guard of a served model needs, fitted on the training and validation rows of an ingested
table; and its temperatures.
"""

import contextlib
import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from multimodal_tf.config import FUSED, FUSED_OF, Config
from multimodal_tf.corruptions.corruption import is_missing
from multimodal_tf.data.ingest.record_settings import check_records
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.pipeline import load_raw, load_split
from multimodal_tf.evaluation import alignment, ood
from multimodal_tf.evaluation.matching import aligned, matching_heads
from multimodal_tf.metrics.calibration import Temperature
from multimodal_tf.schema import Schema

BATCH = 64
# of the training split that the distance is fitted on
MOST_ROWS = 20_000

Predict = Callable[[dict], dict]


@dataclasses.dataclass(frozen=True, eq=False)
class Limits:
    """A score of strangeness and its limit, and the threshold of consistency, None where no head
    aligns inputs.

    `score` is of the embedding called `embedding`. On held-out rows an alarm is raised with a
    chance of at most `false_alarms` by each.
    """

    score: ood.Mahalanobis
    embedding: str
    limit: float
    threshold: float | None
    false_alarms: float


def fit_guard_limits(
    answer: Predict,
    embed: Predict,
    directory,
    config: Config,
    schema: Schema,
    false_alarms: float = 0.05,
) -> Limits:
    """Fits the Mahalanobis distance of the fused embedding on training rows, by the classes of the
    first head that chooses one, and both limits on validation rows.

    Args:
        answer: takes a batch of model inputs, a dict of arrays; returns a dict by head, such as
            `model.predict_on_batch`.
        embed: the same, returns a dict of embeddings by name, such as
        `models.build.embeddings(model).predict_on_batch`.
        directory: where ingest wrote the shards.
        config, schema: of the model.
        false_alarms: float, above 0, below 1.

    Raises:
        ValueError: the table was ingested with other settings; the model has no fused embedding, as
            with a decision fusion; a split has no rows, or too few for this rate; an embedding is
            not finite.

    Example:
        >>> limits = fit_guard_limits(model.predict_on_batch, embeddings(model).predict_on_batch, "records", config, schema)  # doctest: +SKIP
    """
    _check(directory, config)
    # before anything is computed
    with _no_limit(directory):
        ood.limit(np.zeros(Manifest.load(directory).rows("validation")), false_alarms)
    head = next((name for name, part in config.heads.items() if part.target_type == "class"), None)
    name, vectors, classes = _training(embed, directory, config, schema, head)
    score = mahalanobis(vectors, classes)
    inputs = list(_inputs(directory, "validation", config, schema))
    held = np.concatenate([embed(batch)[name] for batch, _, _ in inputs])
    with _no_limit(directory):
        limit, threshold = ood.limit(score(held), false_alarms), None
        if matching_heads(config):
            said = [answer(batch) for batch, _, _ in inputs]
            answers = {
                one: np.concatenate([part[one] for part in said]) for one in matching_heads(config)
            }
            found = aligned(answers, _present(directory, "validation", config), config).agreement
            threshold = alignment.threshold(found[~np.isnan(found)], false_alarms)
    return Limits(score, name, limit, threshold, false_alarms)


def fit_temperatures(
    answer: Predict, directory, config: Config, schema: Schema
) -> dict[str, Temperature]:
    """A temperature for each head that chooses one class, fitted on the validation rows that have
    its label.

    Args:
        answer, directory, config, schema: as in `fit_guard_limits`.

    Raises:
        ValueError: the table was ingested with other settings, no head chooses one class, or one
        has fewer than 2 such rows.
    """
    heads = [name for name, head in config.heads.items() if head.target_type == "class"]
    if not heads:
        raise ValueError(
            f"a temperature needs a head that chooses one class, received {list(config.heads)}"
        )
    _check(directory, config)
    rows = [
        (answer(inputs), targets, known)
        for inputs, targets, known in _inputs(directory, "validation", config, schema)
    ]
    found = {}
    for name in heads:
        said, labels, known = (
            np.concatenate([part[place][name] for part in rows]) for place in range(3)
        )
        try:
            found[name] = Temperature.fit(labels[known > 0], said[known > 0])
        except ValueError as error:
            raise ValueError(
                f"head {name!r} on the validation rows of {directory}: {error}"
            ) from error
    return found


def mahalanobis(vectors: ArrayLike, classes: ArrayLike | None) -> ood.Mahalanobis:
    """The distance around the means of classes, or of all rows where few have a class.

    Args:
        vectors: float `(rows, dim)`.
        classes: int `(rows,)`, -1 unknown; or None.

    Raises:
        ValueError: as `novelty.Mahalanobis.fit`.
    """
    array, given = np.asarray(vectors), np.asarray([-1] if classes is None else classes)
    known = given >= 0
    if known.sum() > 2 * len(np.unique(given[known])):
        return ood.Mahalanobis.fit(array[known], given[known])
    return ood.Mahalanobis.fit(array)


@contextlib.contextmanager
def _no_limit(directory):
    try:
        yield
    except ValueError as error:
        raise ValueError(f"the validation rows of {directory} give no limit: {error}") from error


def _check(directory, config):
    check_records(config, directory)


def _training(embed, directory, config, schema, head):
    """`(name of the fused embedding, vectors, classes or None)` of training rows, at most
    `MOST_ROWS`, drawn.
    """
    rows = Manifest.load(directory).rows("train")
    kept = np.zeros(rows, bool)
    kept[np.random.default_rng(config.seed).permutation(rows)[:MOST_ROWS]] = True
    name, start = None, 0
    vectors: list[np.ndarray] = []
    classes: list[np.ndarray] = []
    for inputs, targets, known in _inputs(directory, "train", config, schema):
        said = embed(inputs)
        name = name or next(
            (key for key in (FUSED, *(FUSED_OF + own for own in config.heads)) if key in said), None
        )
        if name is None:
            raise ValueError(
                f"a guard needs a fused embedding, which a {config.fusion.type} fusion has not, received {sorted(said)}"
            )
        mine = kept[start : start + len(said[name])]
        start += len(mine)
        vectors.append(said[name][mine])
        classes.append(np.where(known[head] > 0, targets[head], -1)[mine] if head else np.zeros(0))
    return name, np.concatenate(vectors), np.concatenate(classes).astype(int) if head else None


def _inputs(directory, split, config, schema):
    return load_split(config, schema, directory, split, batch_size=BATCH).as_numpy_iterator()


def _present(directory, split, config):
    """bool `(rows, inputs)`: records hold no broken cells."""
    batches = load_raw(config, directory, split, BATCH).as_numpy_iterator()
    flags = [
        np.stack(
            [[not is_missing(_cell(cell)) for cell in raw[name]] for name in config.inputs], axis=1
        )
        for _, raw, _ in batches
    ]
    return np.concatenate(flags)


def _cell(cell):
    return cell.tolist() if isinstance(cell, np.ndarray) else cell
