"""What a smaller form of a trained model costs: on the same rows, beside the model itself."""

import dataclasses
import os
import pathlib
import time
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from multimodal_tf.config import labelled
from multimodal_tf.config.heads import generating, served
from multimodal_tf.config.saved_model.form import load_exported
from multimodal_tf.data import requests
from multimodal_tf.data.pipeline import load_raw
from multimodal_tf.data.trained import Trained
from multimodal_tf.evaluation.comparison import compare_runs
from multimodal_tf.evaluation.paired import LOWER, PairedMetric, main_metric
from multimodal_tf.evaluation.predictor import BATCH, Predictor, of_saved_model, predictor_of

PathLike: TypeAlias = str | os.PathLike[str]
# of weights in float32: the largest difference of an output, or of its share where that is above 1
EXACT = 1e-5
# requests that are timed, by their rows
_ROWS, _TIMES = (1, 64), 5
_MODEL, _FORM = "model", "form"


@dataclasses.dataclass(frozen=True)
class FormComparison:
    """A form of a model beside the model, on the rows of a split.

    Attributes:
        differences: by head the largest difference of an output, as a share of it where it is above
            1. Temperatures are left out on both sides.
        agreement: by head that chooses a class, the share of rows with the same one.
        metrics: by head with labels, the name of its main metric, and its values of `model` and
            `form`.
        size: bytes of the form's folder.
        milliseconds: of a request to `predict` by its rows, the median of several.
    """

    differences: Mapping[str, float]
    agreement: Mapping[str, float]
    metrics: Mapping[str, tuple[str, PairedMetric]]
    size: int
    milliseconds: Mapping[int, float]

    def __str__(self) -> str:
        parts = []
        for name, (metric, paired) in self.metrics.items():
            shown = [paired.metrics[key].value for key in (_MODEL, _FORM)]
            values = " to ".join("-" if value is None else f"{value:.4f}" for value in shown)
            parts.append(f"{metric} of {name} {values}")
        parts += [f"same {name} in {share:.2%} of rows" for name, share in self.agreement.items()]
        times = ", ".join(f"{one:.1f} ms for {rows}" for rows, one in self.milliseconds.items())
        return "; ".join([*parts, f"{self.size:,} bytes", times])

    def check(self, tolerance: float) -> None:
        """Refuses a form that is worse than the model.

        Args:
            tolerance: how much worse the main metric of a head may be on these rows.

        Raises:
            ValueError: one is worse.
        """
        for name, (metric, paired) in self.metrics.items():
            difference = paired.differences[_FORM].value
            if difference is None:
                continue
            lost = difference if metric in LOWER else -difference
            if lost > tolerance:
                raise ValueError(
                    f"{metric} of the head {name!r} is worse by {lost:.4f} than that of the model, "
                    f"and the tolerance is {tolerance}: choose weights of more bits"
                )


def compare_form(
    run: Trained, path: PathLike, records: PathLike, split: str = "validation"
) -> FormComparison:
    """Compares a form that `export_model` wrote with the model that it was made of.

    Args:
        run: what `load_run` gives.
        path: the folder of the form.
        records: folder of the ingested records.
        split: "train", "validation" or "test"; all of its rows are compared.

    Raises:
        FileNotFoundError, ValueError: as `evaluate`.

    Example:
        >>> compare_form(load_run("run"), "digits/2", "records").check(0.01)  # doctest: +SKIP
    """
    own, form = predictor_of(run), of_saved_model(path, calibrated=False)
    differences, agreement = _differences(own, form, records, split)
    metrics = {}
    if labelled(form.config.heads):
        found = compare_runs({_MODEL: own, _FORM: form}, records, split, resamples=0)
        for name, head in found.heads.items():
            metric = main_metric(head)
            metrics[name] = metric, head.metrics[metric]
    folder = pathlib.Path(path)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return FormComparison(
        differences, agreement, metrics, size, _timed(folder, form, records, split)
    )


def check_exact(run: Trained, path: PathLike, found: FormComparison, records: PathLike) -> None:
    """Refuses a form in float32 that does not answer as the model.

    Raises:
        ValueError: an output differs by more than `EXACT`; the message names the first layer that
            does.
    """
    wrong = {name: one for name, one in found.differences.items() if not one <= EXACT}
    if not wrong:
        return
    own, form = predictor_of(run), of_saved_model(path, calibrated=False)
    _, cells, _ = next(iter(load_raw(run.config, records, "validation", BATCH)))
    raw = {name: cell.numpy() for name, cell in cells.items()}
    vectors, others = own.embed(raw), form.embed(raw)
    layers = [name for name in vectors if not _difference(vectors[name], others[name]) <= EXACT]
    name, one = next(iter(wrong.items()))
    layer = f"the vector of {layers[0]!r}" if layers else f"the head {name!r}"
    raise ValueError(
        f"the form must answer as the model within {EXACT}, received a difference of {one:.2g} of "
        f"the head {name!r}, which begins in {layer}"
    )


def _differences(
    own: Predictor, form: Predictor, records: PathLike, split: str
) -> tuple[dict[str, float], dict[str, float]]:
    """The largest differences and the shares of equal classes, by head."""
    made = generating(own.config.heads)
    heads = {name: head for name, head in served(own.config.heads).items() if name not in made}
    largest = dict.fromkeys(heads, 0.0)
    equal: dict[str, list[np.ndarray]] = {
        name: [] for name, head in heads.items() if head.target_type == "class"
    }
    for _, cells, _ in load_raw(own.config, records, split, BATCH):
        raw = {name: cell.numpy() for name, cell in cells.items()}
        expected, received = own.predict(raw), form.predict(raw)
        for name in heads:
            found = _difference(expected[name], received[name])
            # a difference of NaN stays
            largest[name] = float(np.maximum(largest[name], found))
        for name, rows in equal.items():
            rows.append(expected[name].argmax(axis=1) == received[name].argmax(axis=1))
    return largest, {name: float(np.concatenate(rows).mean()) for name, rows in equal.items()}


def _difference(expected: np.ndarray, received: np.ndarray) -> float:
    return float((np.abs(expected - received) / np.maximum(1, np.abs(expected))).max(initial=0))


def _timed(path: pathlib.Path, form: Predictor, records: PathLike, split: str) -> dict[int, float]:
    """Milliseconds of requests of rows of the split, which repeat where there are too few."""
    _, cells, _ = next(iter(load_raw(form.config, records, split, max(_ROWS))))
    given = requests.of_records(form.config, cells)
    count = len(next(iter(given.values())))
    predict: Any = load_exported(path).signatures["serving_default"]
    found = {}
    for rows in _ROWS:
        chosen = np.arange(rows) % count
        batch = {name: tf.gather(cell, chosen) for name, cell in given.items()}
        # traced and allocated
        predict(**batch)
        times = []
        for _ in range(_TIMES):
            begin = time.perf_counter()
            predict(**batch)
            times.append(1000 * (time.perf_counter() - begin))
        found[rows] = float(np.median(times))
    return found
