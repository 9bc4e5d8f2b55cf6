"""Cross-validation: predictions for every row of a table, by models that did not see it."""

import contextlib
import pathlib
import zipfile
from typing import Any, Literal

import numpy as np

from multimodal_tf.config import Config, labelled
from multimodal_tf.config.heads import generating, with_loss
from multimodal_tf.data import atomic, record_files
from multimodal_tf.data.cache import FOLDER, started_after
from multimodal_tf.data.csv_frame import escape_frame
from multimodal_tf.data.filesystem import PathLike
from multimodal_tf.data.ingest.schema_cache import schema_for
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.data.predictions import OutOfFold
from multimodal_tf.data.progress import progress_bar
from multimodal_tf.data.table import Table
from multimodal_tf.data.units import in_units
from multimodal_tf.schema import Schema, thresholds
from multimodal_tf.training.devices import check_precision
from multimodal_tf.training.fit import fit
from multimodal_tf.training.folds import make_folds
from multimodal_tf.training.identity import check_same, save_identity
from multimodal_tf.training.out_of_fold import (
    ROWS,
    THRESHOLDS,
    Arrays,
    combine,
    fold_of_rows,
    prediction_table,
)
from multimodal_tf.training.run_dir import RECORD, Run, load_record, load_run

IDENTITY, PREDICTIONS, HELD_OUT = "cross_validation.json", "predictions.csv", "held_out.npz"
# rows in a call of the model; predictions do not depend on it
_BATCH = 256


def cross_validate(
    config: Config,
    table: Table,
    out: str | pathlib.Path,
    folds: int = 5,
    repeats: int = 1,
    group: str | None = None,
    seed: int = 0,
    progress: bool | None = None,
    cache: bool = True,
) -> OutOfFold:
    """Repeated cross-validation: trains a model for each fold, and predicts the fold's rows.

    All rows take part, except test rows that `split.column` names. Folds are those of `make_folds`,
    drawn again in each repetition, and the same for all configurations with the same rows, split
    and first head. The best epoch is chosen on a share of the other folds, `split.validation`.

    The same call resumes it, and one with more `repeats` continues it.

    Args:
        config: `Config`. Its seed is that of the first model's weights; each model has its own.
        table: from `data.table.read_table`.
        out: gets `records`, `folds/0` and so on for each repetition, `runs/0-0` and so on for each
            repetition and fold, `predictions.csv` with a line for each row and repetition.
        folds: int >= 2.
        repeats: int >= 1.
        group: a column whose values are in one fold each; None: `split.group`.
        seed: int >= 0; `seed + r` draws the folds of repetition r.
        progress: whether to show progress bars; None: if standard error is a terminal.
        cache: whether all models share the outputs of frozen towers, which are computed once and
            kept in `out/cache`.

    Returns:
        `OutOfFold`, of all heads that learn; `evaluation.cv_metrics` computes metrics from it.
        `predictions.csv` has the heads with a label.

    Raises:
        OSError: `out` cannot be used, or another process writes there.
        ValueError: an argument is too small, no head learns, a fold cannot be trained on,
            `out` holds another cross-validation, or as `ingest`, `make_folds` and `fit`.

    Source: Kohavi 1995, "A study of cross-validation and bootstrap for accuracy estimation".
    """
    _check(config, folds, repeats, seed)
    config, out = _without_test_rows(config, group), pathlib.Path(out)
    with atomic.locked(out):
        records = _fold_records(config, table, out, folds, repeats, group, seed, progress)
        configs = [_with_seed(config, index) for index in range(len(records))]
        # errors of any fold are raised before the first training
        schemas = [schema_for(*one) for one in zip(configs, records)]
        run_dirs = [out / "runs" / f"{r}-{fold}" for r in range(repeats) for fold in range(folds)]
        held_out = []
        with progress_bar("cross-validate", "models", len(records), progress) as update:
            for one in zip(configs, schemas, records, run_dirs):
                held_out.append(_predict_held_out(*one, out / FOLDER if cache else False))
                update(advance=1)
        result = combine(config, schemas, held_out, folds)
        with atomic.replacing(out / PREDICTIONS) as temporary:
            escape_frame(prediction_table(result)).to_csv(temporary, index=False)
    return result


def assign_folds(
    config: Config,
    table: Table,
    out: str | pathlib.Path,
    folds: int = 5,
    repeats: int = 1,
    group: str | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> OutOfFold:
    """The folds that `cross_validate` will use, before it trains anything.

    The folds of two configurations must be the same for a comparison. Schemas of all folds are
    fitted, so errors of the table are raised here. `cross_validate` continues from here in `out`.

    Args:
        config, table, out, folds, repeats, group, seed, progress: as for `cross_validate`.

    Returns:
        `OutOfFold` without heads.

    Raises:
        OSError, ValueError: as `cross_validate`.

    Example:
        >>> one_folds = assign_folds(one, table, "runs/one")  # doctest: +SKIP
        >>> other_folds = assign_folds(other, table, "runs/other")  # doctest: +SKIP
        >>> cv_metrics.check_same_folds(one_folds, other_folds)  # doctest: +SKIP
    """
    _check(config, folds, repeats, seed)
    config, out = _without_test_rows(config, group), pathlib.Path(out)
    with atomic.locked(out):
        records = _fold_records(config, table, out, folds, repeats, group, seed, progress)
        for fold in records:
            schema_for(config, fold)
        held_out = [{ROWS: _row_numbers(config, Manifest.load(fold))} for fold in records]
    rows, fold_numbers = fold_of_rows(held_out, folds)
    return OutOfFold(rows, fold_numbers, {})


def _check(config: Config, folds: int, repeats: int, seed: int) -> None:
    for name, value, least in (("folds", folds, 2), ("repeats", repeats, 1), ("seed", seed, 0)):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, received {value}")
    check_precision(config.training)
    learning = with_loss(config.heads)
    if learning and learning.keys() == generating(config.heads).keys():
        raise ValueError(
            "cross-validation needs a head other than of texts or images, which it does not "
            f"predict, received {sorted(config.heads)}"
        )
    if not learning:
        raise ValueError(
            "cross-validation needs a head that learns from labels or without, "
            f"received {sorted(config.heads)}"
        )


def _without_test_rows(config: Config, group: str | None) -> Config:
    """The configuration with no test rows, unless a column names them."""
    if config.split.column is not None:
        return config
    grouped = {} if group is None else {"group": group}
    split = config.split.model_copy(update={"test": 0.0, **grouped})
    return config.model_copy(update={"split": split})


def _with_seed(config: Config, index: int) -> Config:
    return config.model_copy(update={"seed": (config.seed + index) % 2**31})


def _fold_records(
    config: Config,
    table: Table,
    out: pathlib.Path,
    folds: int,
    repeats: int,
    group: str | None,
    seed: int,
    progress: bool | None,
) -> list[pathlib.Path]:
    """The folders of all folds, repetition by repetition."""
    identity = {
        "configuration": config.model_dump(mode="json"),
        "folds": folds,
        "group": group,
        "seed": seed,
    }
    check_same(out / IDENTITY, identity, "cross-validation", lengthy="configuration")
    save_identity(out / IDENTITY, identity)
    records = out / "records"
    # not by the configuration's seed, so that other configurations have the same validation rows
    ingest(table, config.model_copy(update={"seed": seed}), records, progress=progress)
    return [
        fold
        for r in range(repeats)
        for fold in make_folds(
            records, out / "folds" / str(r), folds, table, group, "test", seed + r
        )
    ]


def _predict_held_out(
    config: Config,
    schema: Schema,
    records: pathlib.Path,
    run_dir: pathlib.Path,
    cache: pathlib.Path | Literal[False],
) -> Arrays:
    """The held-out rows of a fold, by name of an array, as `combine` reads them.

    The model is trained, and the rows are predicted, unless `run_dir` holds the result already.
    """
    path, manifest = run_dir / HELD_OUT, Manifest.load(records)
    if _is_finished(run_dir, config, manifest):
        # a file that is missing or damaged is made again
        with (
            contextlib.suppress(ValueError, OSError, zipfile.BadZipFile),
            np.load(path) as arrays,
        ):
            return dict(arrays)
        run = load_run(run_dir)
    else:
        path.unlink(missing_ok=True)
        run = fit(config, schema, records, run_dir, verbose=0, cache=cache, overwrite=True)
    predicted: dict[str, Any] = _predict(run, records, manifest, cache)
    with atomic.replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **predicted)
    return predicted


def _is_finished(run_dir: pathlib.Path, config: Config, manifest: Manifest) -> bool:
    if not (run_dir / RECORD).is_file():
        return False
    record = load_record(run_dir / RECORD)
    return (
        record.status == "finished"
        and record.config == config
        and record.data.hash == manifest.hash
    )


def _predict(
    run: Run, records: PathLike, manifest: Manifest, cache: pathlib.Path | Literal[False]
) -> dict[str, np.ndarray]:
    """Numbers of the held-out rows; by head targets, whether they are known, and predictions."""
    heads = with_loss(run.config.heads).items()
    names = [name for name, head in heads if not head.generates]
    found: dict[str, list[np.ndarray]] = {ROWS: [_row_numbers(run.config, manifest)]}
    opened = (run.config, run.schema, records)
    with started_after(run.model, *opened, ["test"], cache, progress=False) as frozen:
        batches = load_split(*opened, "test", batch_size=_BATCH, frozen=frozen)
        for inputs, targets, weights in batches.as_numpy_iterator():
            # each fold has a centre of its own
            predictions = in_units(run.model.predict_on_batch(inputs), run.schema)
            targets = in_units(targets, run.schema)
            for name in names:
                batch = {
                    "targets": targets[name],
                    "known": weights[name] > 0,
                    "predictions": predictions[name],
                }
                for array, values in batch.items():
                    found.setdefault(f"{name}/{array}", []).append(np.asarray(values))
    for name, head in labelled(run.config.heads).items():
        found[f"{name}/{THRESHOLDS}"] = [
            np.array(thresholds(name, head, run.schema.heads.get(name)))
        ]
    return {name: np.concatenate(arrays) for name, arrays in found.items()}


def _row_numbers(config: Config, manifest: Manifest) -> np.ndarray:
    return np.concatenate(
        [
            record_files.parse_labels(config, serialized)[0].numpy()
            for serialized in record_files.read(manifest.shards("test"), _BATCH)
        ]
    )
