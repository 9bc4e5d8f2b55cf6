"""Cross-validation: every row of a table answered by models that did not see it."""

import contextlib
import json
import os
import pathlib
import zipfile

import numpy as np
import pandas as pd

from multimodal_tf.config import Config, labelled
from multimodal_tf.data import atomic, record_files
from multimodal_tf.data.ingest.schema_cache import schema_for
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.data.predictions import HeadPredictions, OutOfFold
from multimodal_tf.data.progress import progress_bar
from multimodal_tf.data.table import Table
from multimodal_tf.training import run_dir
from multimodal_tf.training.fit import fit
from multimodal_tf.training.folds import make_folds

IDENTITY, PREDICTIONS, HELD_OUT = "cross_validation.json", "predictions.csv", "held_out.npz"
# rows a call of the model; how rows are batched changes no answer
_BATCH = 256
_ROWS = "rows"


def cross_validate(
    config: Config,
    table: Table,
    k: int,
    directory: str | os.PathLike,
    repeats: int = 1,
    group: str | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> OutOfFold:
    """Trains a model for each of k folds, several times over, and lets each answer the rows of its
    fold, which it did not see.

    All rows of the table take part, but where `split.column` names rows for the test: these stay
    unseen. Folds are dealt as `make_folds` says, in each repetition anew; they are the same for
    every configuration that keeps the same rows and has the same split and first head.
    Vocabularies, means and classes are learned from each fold's training rows alone. Which epoch is
    the best is told by a share of the other folds' rows, `split.validation`, never by the fold
    itself. Each model begins with weights of its own.

    Interrupted in any way and called again with the same arguments, it goes on; with more `repeats`
    it also goes on.

    Args:
        config: `Config`.
        table: from `data.table.read_table`.
        k: int, at least 2: how many folds.
        directory: gets `records`, as `ingest` writes them; `folds/0` and so on, a repetition each;
            `runs/0-0` and so on, a run a repetition and fold, as `fit` leaves it; and
            `predictions.csv`, a row for each row of the table and repetition.
        repeats: int.
        group: a column whose values stay in one fold each; None: `split.group`.
        seed: int, 0 or more. Repetition r is dealt by `seed + r`. The configuration's own is that
        of the weights.
        progress: whether to show progress bars; None: where standard error is a terminal.

    Returns:
        `OutOfFold`, the heads that have a label. `evaluation.cv_metrics` makes figures and
        intervals of it, and compares two.

    Raises:
        OSError: `directory` cannot be used, or another process writes there.
        ValueError: `k` or `repeats` is too small, no head has a label, there are fewer rows or
            groups than folds, a fold's training rows have one class only, `directory` holds another
            cross-validation, or what `ingest` and `fit` say.

    Example:
        >>> answers = cross_validate(config, table, 5, "runs/folds", repeats=2)  # doctest: +SKIP
        >>> folded.judge(answers).heads["label"].figures["accuracy"].mean.value  # doctest: +SKIP
        0.87

    Source: Kohavi 1995, «A study of cross-validation and bootstrap for accuracy estimation and
    model selection».
    """
    directory = pathlib.Path(directory)
    _check(config, k, repeats, seed)
    config = _with_all_rows(config, group)
    with atomic.locked(directory):
        turns = _turns(config, table, k, directory, repeats, group, seed, progress)
        configs = [
            config.model_copy(update={"seed": (config.seed + number) % 2**31})
            for number in range(len(turns))
        ]
        # what is wrong with one is said before any training
        schemas = [schema_for(own, turn) for own, turn in zip(configs, turns)]
        held = []
        with progress_bar("cross-validate", "models", len(turns), progress) as update:
            for number, (own, schema, turn) in enumerate(zip(configs, schemas, turns)):
                held.append(
                    _held_out(own, schema, turn, directory / "runs" / f"{number // k}-{number % k}")
                )
                update(advance=1)
        found = _assembled(config, schemas, held, k)
        with atomic.replacing(directory / PREDICTIONS) as temporary:
            _as_table(found).to_csv(temporary, index=False)
    return found


def deal(
    config: Config,
    table: Table,
    k: int,
    directory: str | os.PathLike,
    repeats: int = 1,
    group: str | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> OutOfFold:
    """The folds that `cross_validate` will use, before it trains: what two configurations must
    share to be compared.

    Arguments are as for `cross_validate`, which goes on in `directory` from here. All folds'
    schemas are learned, so what it would refuse for the sake of the table is refused here.

    Returns:
        `OutOfFold` without heads: nothing is answered yet.

    Raises:
        OSError, ValueError: as `cross_validate`.

    Example:
        >>> folded.check_same_folds(deal(one, table, 5, "runs/one"), deal(other, table, 5, "runs/other"))  # doctest: +SKIP
    """
    directory = pathlib.Path(directory)
    _check(config, k, repeats, seed)
    config = _with_all_rows(config, group)
    with atomic.locked(directory):
        turns = _turns(config, table, k, directory, repeats, group, seed, progress)
        for turn in turns:
            schema_for(config, turn)
        held = [{_ROWS: _row_numbers(config, Manifest.load(turn))} for turn in turns]
    rows, fold = _dealt(held, k)
    return OutOfFold(rows, fold, {})


def _turns(config, table, k, directory, repeats, group, seed, progress):
    """The turns' directories, those of a repetition together."""
    _claim(directory, config, k, group, seed)
    # by this seed and not the configuration's, so that others have the same rows for validation
    ingest(
        table, config.model_copy(update={"seed": seed}), directory / "records", progress=progress
    )
    turns = []
    for repeat in range(repeats):
        turns += make_folds(
            directory / "records",
            directory / "folds" / str(repeat),
            k,
            table,
            group,
            "test",
            seed + repeat,
        )
    return turns


def _check(config, k, repeats, seed):
    for name, value, least in (("k", k, 2), ("repeats", repeats, 1), ("seed", seed, 0)):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, received {value}")
    if not labelled(config.heads):
        raise ValueError(
            f"cross-validation needs a head with a label, received {sorted(config.heads)}"
        )


def _with_all_rows(config, group):
    """The configuration with no rows for the test, unless a column names them."""
    if config.split.column is not None:
        return config
    grouped = {} if group is None else {"group": group}
    return config.model_copy(
        update={"split": config.split.model_copy(update={"test": 0.0, **grouped})}
    )


def _claim(directory, config, k, group, seed):
    """Writes what makes the cross-validation the one that it is.

    Raises:
        ValueError: the directory holds another.
    """
    ours = {"configuration": config.model_dump(mode="json"), "k": k, "group": group, "seed": seed}
    file = directory / IDENTITY
    if file.is_file():
        theirs = json.loads(file.read_text(encoding="utf-8"))
        other = next((name for name in ours if theirs.get(name) != ours[name]), None)
        if other is not None:
            shown = (
                ""
                if other == "configuration"
                else f" ({theirs.get(other)!r}, received {ours[other]!r})"
            )
            raise ValueError(
                f"{directory} holds a cross-validation with another {other}{shown}: choose another directory"
            )
    atomic.write_text(file, json.dumps(ours, indent=1))


def _held_out(config, schema, turn, place):
    """The held-out rows of a turn by name of an array, answered by a model that is trained unless
    it stands in `place` already.
    """
    file, manifest = place / HELD_OUT, Manifest.load(turn)
    trained = None
    if _finished(place, config, manifest):
        if file.is_file():
            with (
                contextlib.suppress(ValueError, OSError, zipfile.BadZipFile),
                np.load(file) as arrays,
            ):
                return dict(arrays)
        trained = run_dir.load_run(place)
    else:
        file.unlink(missing_ok=True)
        trained = fit(config, schema, turn, place, verbose=0)
    arrays = _answers(trained.model, config, schema, turn, manifest)
    with atomic.replacing(file) as temporary, temporary.open("wb") as opened:
        np.savez(opened, **arrays)
    return arrays


def _finished(place, config, manifest):
    if not (place / run_dir.RECORD).is_file():
        return False
    record = run_dir.load_record(place / run_dir.RECORD)
    return (
        record.status == "finished"
        and record.config == config
        and record.data.hash == manifest.hash
    )


def _answers(model, config, schema, turn, manifest):
    """The rows' numbers, and by head targets, whether they are known, and answers."""
    collected = {_ROWS: [_row_numbers(config, manifest)]}
    for inputs, targets, weights in load_split(
        config, schema, turn, "test", batch_size=_BATCH
    ).as_numpy_iterator():
        answers = model.predict_on_batch(inputs)
        for name in labelled(config.heads):
            for what, batch in (
                ("targets", targets[name]),
                ("known", weights[name] > 0),
                ("answers", answers[name]),
            ):
                collected.setdefault(f"{name}/{what}", []).append(np.asarray(batch))
    return {name: np.concatenate(parts) for name, parts in collected.items()}


def _row_numbers(config, manifest):
    few = config.model_copy(update={"inputs": {}})
    return np.concatenate(
        [
            record_files.parse(few, serialized)[0].numpy()
            for serialized in record_files.read(manifest.shards("test"), _BATCH)
        ]
    )


def _repetitions(held, k):
    """By repetition the slice of its turns, and the order that brings their rows into the table's."""
    repeats = [slice(start, start + k) for start in range(0, len(held), k)]
    return [(turns, _order(held[turns])) for turns in repeats]


def _dealt(held, k):
    """The rows in the table's order, and by repetition the fold of each."""
    repeats = _repetitions(held, k)
    fold = [
        np.repeat(np.arange(k), [len(one[_ROWS]) for one in held[turns]])[order]
        for turns, order in repeats
    ]
    return np.concatenate([one[_ROWS] for one in held[:k]])[repeats[0][1]], np.stack(fold)


def _assembled(config, schemas, held, k):
    """All turns together: rows in the table's order, classes in one order for all."""
    heads = {}
    for name, head in labelled(config.heads).items():
        stats = [schema.heads[name] for schema in schemas]
        classes = (
            () if head.target_type == "number" else _classes(head, [names.names for names in stats])
        )
        repeated = []
        for turns, order in _repetitions(held, k):
            parts = [
                _in(classes, head, own, arrays, name)
                for own, arrays in zip(stats[turns], held[turns])
            ]
            repeated.append(
                HeadPredictions(
                    head, classes, *(np.concatenate(column)[order] for column in zip(*parts))
                )
            )
        heads[name] = tuple(repeated)
    rows, fold = _dealt(held, k)
    return OutOfFold(rows, fold, heads)


def _order(held):
    return np.argsort(np.concatenate([one[_ROWS] for one in held]), kind="stable")


def _classes(head, stats):
    """The classes that any fold's training rows have, in the order that a schema gives them."""
    return tuple(head.class_order(set().union(*stats)))


def _in(classes, head, stats, arrays, name):
    """A turn's targets, known rows and answers, with the classes that it has not learned; these
    have probability 0.
    """
    targets, known, answers = (arrays[f"{name}/{what}"] for what in ("targets", "known", "answers"))
    if head.target_type == "number":
        return targets, known, answers
    places = np.array([classes.index(one) for one in stats.names])
    wide = np.zeros((len(answers), len(classes)), np.float32)
    wide[:, places] = answers
    if head.target_type == "class":
        return places[targets], known, wide
    marks = np.zeros_like(wide)
    marks[:, places] = targets
    return marks, known, wide


def _as_table(found):
    """A line for each row and repetition: its label, empty where training did not see it, and what
    is answered.
    """
    parts = []
    for repeat, fold in enumerate(found.fold):
        columns = {"repeat": np.full(len(fold), repeat), "fold": fold, "row": found.rows}
        for name, repeated in found.heads.items():
            columns |= _columns(name, repeated[repeat])
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts)


def _columns(name, predicted):
    """The columns of one head: `true_label`, `label` and `label=cat`, or for a number `price` or
    `price@0.5`.
    """
    head, classes, targets, known = (
        predicted.head,
        predicted.classes,
        predicted.targets,
        predicted.known,
    )
    answers = head.output_columns(name, classes)
    if head.target_type == "class":
        names = np.array(classes, dtype=object)
        said = {
            f"true_{name}": np.where(known, names[targets], None),
            name: names[predicted.predictions.argmax(axis=1)],
        }
    elif head.target_type == "classes":
        said = {
            f"true_{column}": np.where(known, marks, np.nan)
            for column, marks in zip(answers, targets.T)
        }
    else:
        said = {f"true_{name}": np.where(known, targets, np.nan)}
    return said | dict(zip(answers, predicted.predictions.T))
