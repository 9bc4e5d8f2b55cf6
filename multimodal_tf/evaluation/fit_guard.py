"""`fit_guard`: the guard and the temperatures of an exported model, fitted on ingested records."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import ArrayLike

from multimodal_tf.config import FUSED, FUSED_OF, Config
from multimodal_tf.config.heads import comparing
from multimodal_tf.corruptions.corruption import is_missing
from multimodal_tf.data.filesystem import PathLike
from multimodal_tf.data.ingest.record_settings import check_records
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.pipeline import load_raw, load_split
from multimodal_tf.data.trained import Trained, check_own_records
from multimodal_tf.evaluation import alignment, ood
from multimodal_tf.evaluation.agreement import aligned
from multimodal_tf.evaluation.predictor import embedding_model
from multimodal_tf.metrics.calibration import Temperature, decisions
from multimodal_tf.schema import Schema
from multimodal_tf.scoring.guard import Guard
from multimodal_tf.scoring.ood import Mahalanobis

BATCH = 64
# labelled validation rows below which a temperature tells too little to be the default
FEWEST = 20
# of the training split that the distance is fitted on
MAX_ROWS = 20_000
# of a served score, relative, and absolute below 1
_ROUNDING = 1e-5

# a batch of model inputs to outputs by name
Predict = Callable[[dict[str, np.ndarray]], Mapping[str, np.ndarray]]
Batch = tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, np.ndarray]]


class Fitted(NamedTuple):
    """What `export_model` takes as `guard` and `temperature`."""

    guard: Guard | None
    temperature: dict[str, float]


def fit_guard(
    run: Trained,
    records: PathLike,
    fpr: float = 0.05,
    guard: bool = True,
    calibrate: bool = True,
) -> Fitted:
    """Fits the guard and the temperatures of a trained model on its training and validation rows.

    The guard's score is the Mahalanobis distance of the fused embedding, fitted on training rows by
    the classes of the first head that chooses one. Its thresholds come from validation rows. The
    temperatures of all heads that predict classes are fitted on validation rows.

    Args:
        run: what `load_run` gives, or another object with `model`, `config` and `schema`.
        records: folder of ingested records.
        fpr: false positive rate of each threshold on clean rows, above 0, below 1.
        guard: whether to fit a guard.
        calibrate: whether to fit temperatures.

    Returns:
        `(guard, temperature)`: None without `guard`; temperatures by head, none without
        `calibrate`.

    Raises:
        ValueError: the records are not those of the run, or were ingested with other settings; the
            model has no fused embedding, as with a decision fusion; a split has no rows, or too few
            for this rate; an embedding is not finite; with `calibrate`, no head predicts classes,
            or one has fewer than 2 labelled validation rows.

    Example:
        >>> guard, temperature = fit_guard(load_run("run"), "records")  # doctest: +SKIP
    """
    check_own_records(run, records)
    check_records(run.config, records)
    fitted = _guard(run, records, fpr) if guard else None
    found = fit_temperatures(run, records) if calibrate else {}
    return Fitted(fitted, {name: each.value.number for name, each in found.items()})


def fit_temperatures(run: Trained, records: PathLike) -> dict[str, Temperature]:
    """A temperature for each head that predicts classes, fitted on labelled validation rows.

    That of a multi-label head is fitted on the decisions for all of its labels together.

    Args:
        run, records: as in `fit_guard`.

    Raises:
        ValueError: the records are not those of the run, or were ingested with other settings, no
            head predicts classes, or one has fewer than 2 labelled validation rows.
    """
    found = {}
    for name, (outputs, labels) in _calibrated_rows(run, records).items():
        try:
            found[name] = _temperature(run.config, name, outputs, labels)
        except ValueError as error:
            raise ValueError(
                f"head {name!r} on the validation rows of {records}: {error}"
            ) from error
    return found


class Calibrated(NamedTuple):
    """The temperatures that validation rows allow, by head, and why other heads have none."""

    temperature: dict[str, float]
    reasons: dict[str, str]


def calibrate_where_possible(run: Trained, records: PathLike) -> Calibrated:
    """As `fit_temperatures`, where validation rows allow, and why not elsewhere.

    A head needs `FEWEST` labelled validation rows. It needs some that are wrong, too: otherwise the
    log loss falls with the temperature without end.

    Args:
        run, records: as in `fit_guard`.

    Returns:
        `Calibrated`; heads that predict no classes are in neither.

    Raises:
        FileNotFoundError: there are no such records.
        ValueError: the records are not those of the run, or were ingested with other settings.
    """
    found: dict[str, float] = {}
    reasons: dict[str, str] = {}
    heads = _calibrated_heads(run.config)
    if heads:
        check_own_records(run, records)
    if heads and not Manifest.load(records).rows("validation"):
        return Calibrated({}, dict.fromkeys(heads, "there are no validation rows"))
    for name, (outputs, labels) in (_calibrated_rows(run, records) if heads else {}).items():
        if len(labels) < FEWEST:
            reasons[name] = f"{len(labels)} labelled validation rows, fewer than {FEWEST}"
            continue
        fitted = _temperature(run.config, name, outputs, labels)
        if fitted.value.reason is None:
            found[name] = fitted.value.number
        else:
            reasons[name] = fitted.value.reason
    return Calibrated(found, reasons)


def _calibrated_heads(config: Config) -> list[str]:
    return [name for name, head in config.heads.items() if head.target_type in ("class", "classes")]


def _calibrated_rows(run: Trained, records: PathLike) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Predictions and labels of the labelled validation rows, by head that predicts classes."""
    config = run.config
    heads = _calibrated_heads(config)
    if not heads:
        raise ValueError(
            f"a temperature needs a head that chooses one class, received {list(config.heads)}, "
            "or a head of several labels"
        )
    check_own_records(run, records)
    check_records(config, records)
    batches = [
        (run.model.predict_on_batch(inputs), targets, known)
        for inputs, targets, known in _batches(config, run.schema, records, "validation")
    ]
    found = {}
    for name in heads:
        outputs, labels, known = (
            np.concatenate([batch[index][name] for batch in batches]) for index in range(3)
        )
        found[name] = (outputs[known > 0], labels[known > 0])
    return found


def _temperature(config: Config, name: str, outputs: np.ndarray, labels: np.ndarray) -> Temperature:
    if config.heads[name].target_type == "classes":
        return Temperature.fit(*decisions(labels, outputs))
    return Temperature.fit(labels, outputs)


def fit_labelled(
    vectors: ArrayLike, classes: ArrayLike | None, embedding: str = FUSED
) -> Mahalanobis:
    """The distance around the means of classes, or of all rows where few have a class.

    Args:
        vectors: float `(rows, dim)`.
        classes: int `(rows,)`, -1 unknown; or None.
        embedding: name of the embedding.

    Raises:
        ValueError: as `ood.fit_mahalanobis`.
    """
    array, given = np.asarray(vectors), np.asarray([-1] if classes is None else classes)
    known = given >= 0
    if known.sum() > 2 * len(np.unique(given[known])):
        return ood.fit_mahalanobis(array[known], given[known], embedding)
    return ood.fit_mahalanobis(array, embedding=embedding)


def _guard(run: Trained, records: PathLike, fpr: float) -> Guard:
    # before anything is computed
    with _naming_rows(records):
        ood.threshold(np.zeros(Manifest.load(records).rows("validation")), fpr)
    embed = _embed(run)
    score = _fit_score(run, records, embed)
    held_out = list(_batches(run.config, run.schema, records, "validation"))
    vectors = np.concatenate([embed(batch)[score.embedding] for batch, _, _ in held_out])
    with _naming_rows(records):
        threshold = _rounded_up(ood.threshold(score(vectors), fpr))
        if not comparing(run.config.heads):
            return Guard(score, threshold)
        outputs = [run.model.predict_on_batch(batch) for batch, _, _ in held_out]
        return Guard(score, threshold, _agreement_threshold(run.config, records, outputs, fpr))


def _agreement_threshold(
    config: Config, records: PathLike, outputs: list[Mapping[str, np.ndarray]], fpr: float
) -> float:
    predictions = {
        name: np.concatenate([batch[name] for batch in outputs]) for name in comparing(config.heads)
    }
    present = _present(config, records, "validation")
    found = aligned(predictions, present, config).agreement
    return -_rounded_up(-alignment.threshold(found[~np.isnan(found)], fpr))


def _rounded_up(threshold: float) -> float:
    """Above the threshold by more than a served score differs from the model's.

    Equal rows have one score: if it is the threshold, all of them are on one side of it.
    """
    return threshold + _ROUNDING * max(1.0, abs(threshold))


@contextlib.contextmanager
def _naming_rows(records: PathLike) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ValueError(f"the validation rows of {records} give no threshold: {error}") from error


def _embed(run: Trained) -> Predict:
    model: keras.Model | None = embedding_model(run.model, run.config)
    return (lambda batch: {}) if model is None else model.predict_on_batch


def _fit_score(run: Trained, records: PathLike, embed: Predict) -> Mahalanobis:
    """The distance of the fused embedding on training rows, at most `MAX_ROWS`, drawn."""
    config, rows = run.config, Manifest.load(records).rows("train")
    head = next((name for name, one in config.heads.items() if one.target_type == "class"), None)
    kept = np.zeros(rows, bool)
    kept[np.random.default_rng(config.seed).permutation(rows)[:MAX_ROWS]] = True
    name, start = None, 0
    vectors: list[np.ndarray] = []
    classes: list[np.ndarray] = []
    for inputs, targets, known in _batches(config, run.schema, records, "train"):
        embeddings = embed(inputs)
        name = name or _fused_name(config, embeddings)
        chosen = kept[start : start + len(embeddings[name])]
        start += len(chosen)
        vectors.append(embeddings[name][chosen])
        if head is not None:
            classes.append(np.where(known[head] > 0, targets[head], -1)[chosen])
    labels = np.concatenate(classes).astype(int) if head is not None else None
    return fit_labelled(np.concatenate(vectors), labels, name or FUSED)


def _fused_name(config: Config, embeddings: Mapping[str, Any]) -> str:
    for name in (FUSED, *(FUSED_OF + head for head in config.heads)):
        if name in embeddings:
            return name
    raise ValueError(
        f"a guard needs a fused embedding, which a {config.fusion.type} fusion has not, "
        f"received {sorted(embeddings)}"
    )


def _batches(config: Config, schema: Schema, records: PathLike, split: str) -> Iterator[Batch]:
    batches = load_split(config, schema, records, split, batch_size=BATCH)
    found: Iterator[Batch] = batches.as_numpy_iterator()
    return found


def _present(config: Config, records: PathLike, split: str) -> np.ndarray:
    """bool `(rows, inputs)`: records hold no broken cells."""
    flags = [
        np.stack([[not _is_missing(cell) for cell in raw[name]] for name in config.inputs], axis=1)
        for _, raw, _ in load_raw(config, records, split, BATCH).as_numpy_iterator()
    ]
    return np.concatenate(flags)


def _is_missing(cell: Any) -> bool:
    return is_missing(cell.tolist() if isinstance(cell, np.ndarray) else cell)
