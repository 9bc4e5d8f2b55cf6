"""`model_report`: what a model takes from each input, what breaks it, and where it errs, as one
page.
"""

import dataclasses
import datetime
import importlib.metadata
import os
import pathlib
from collections.abc import Callable, Mapping

from multimodal_tf.config import Config, labelled
from multimodal_tf.data.ingest.record_settings import check_records
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.progress import progress_bar
from multimodal_tf.data.table import Table, read_table
from multimodal_tf.evaluation import baselines, row_scores
from multimodal_tf.evaluation.eval_split import EvalSplit, Told, check_labels, examine
from multimodal_tf.evaluation.predictor import Model, predictor_of
from multimodal_tf.metrics.shapley import Contributions, coalitions
from multimodal_tf.report import page
from multimodal_tf.report.model import contributions, corruption_robustness
from multimodal_tf.report.model.alignment import alignment_section
from multimodal_tf.report.model.calibration import calibration_section
from multimodal_tf.report.model.errors import errors_section
from multimodal_tf.report.model.explanations import explained_section
from multimodal_tf.report.model.ood import ood_section
from multimodal_tf.report.model.retrieval import retrieval_section
from multimodal_tf.schema import Schema

# training rows at most, on which scores of strangeness are fitted
FITTED_ON = 5000
_SECTIONS: tuple[Callable[[EvalSplit, int, int], Told | None], ...] = (
    alignment_section,
    ood_section,
    retrieval_section,
    calibration_section,
    errors_section,
    explained_section,
)


@dataclasses.dataclass(frozen=True)
class ModelReport:
    """A report: its page, and what its first two sections are made of."""

    page: page.Page
    shares: Contributions
    damage: corruption_robustness.Damage


def model_report(
    model: Model,
    directory: str | os.PathLike,
    out: str | pathlib.Path,
    config: Config | None = None,
    schema: Schema | None = None,
    split: str = "test",
    head: str | None = None,
    table: Table | None = None,
    alone: Mapping[str, Model] | None = None,
    baseline: Model | None = None,
    rows: int | None = 2000,
    damaged: int | None = 500,
    resamples: int = 1000,
    seed: int = 0,
    progress: bool = False,
) -> ModelReport:
    """Examines a model on one split of an ingested table, and writes one HTML page, its figures
    beside it as JSON and CSV.

    Clean rows are decoded and predicted once. An input that is left out is absent, as an empty cell
    is.

    Args:
        model: what `load_run` gives, a Keras model of `build_model`, or the folder of a SavedModel
            that `export_model` wrote.
        directory: where ingest wrote the shards.
        out: folder for `index.html`, `report.json` and `data/`; an earlier report there is
        replaced.
        config, schema: of a Keras model. A run and a SavedModel bring their own.
        split: "train", "validation" or "test".
        head: which one is examined; None: the first that has a label.
        table: what was ingested, for slices by its other columns, and for intervals over groups;
            None: read from where ingest found it, if it is still there.
        alone: by input, a run or a SavedModel that was trained with this input only, of the same
        head: its figure stands beside.
        baseline: another model of the same head, which effective robustness is measured against.
        rows: int. So many rows at most, drawn by `seed`; None: all.
        damaged: int. So many of these at most for each corruption; None: all.
        resamples: int. Bootstrap resamples for the intervals; 0: no intervals.
        seed: int, not negative. Of draws, damage and resamples.
        progress: shows a bar.

    Returns:
        `ModelReport`.

    Raises:
        FileNotFoundError: ingest has not ended in `directory`, or there is no such SavedModel.
        FileExistsError: `out` holds something else than an earlier report.
        ValueError: the SavedModel is not ours, a Keras model comes without its configuration, the
            table was ingested with other settings, there is no such head or it has no label,
            another model does not answer it, a number is out of range, the split has fewer than two
            rows with labels or these are of one class, or an answer is NaN. Nothing has been
            written then.

    Example:
        >>> model_report("saved_models/shop/1", "runs/shop/records", "runs/shop/report")  # doctest: +SKIP
    """
    place = page.check_place(out)
    _check_numbers(rows=rows, damaged=damaged, resamples=resamples, seed=seed)
    predictor = predictor_of(model, config, schema)
    head = _head(predictor.config, head)
    manifest = Manifest.load(directory)
    check_records(predictor.config, directory)
    singles = baselines.singles(alone or {}, predictor, head)
    rival = None if baseline is None else baselines.rival(baseline, predictor, head)
    table = _table(table, manifest)
    with progress_bar("reading rows", "steps", shown=progress) as update:
        eval_split, features = examine(predictor, directory, split, head, table, rows, seed)
        check_labels(eval_split)
        kinds = corruption_robustness.kinds_of(eval_split)
        runs = len(coalitions(list(predictor.config.inputs)).present) + corruption_robustness.count(
            kinds
        ) * (1 if rival is None else 2)

        def say(what):
            update(description=what, total=runs + len(_SECTIONS))

        def step():
            update(advance=1)

        train, validation = (
            _other(predictor, directory, name, eval_split, table, manifest, seed)
            for name in ("train", "validation")
        )
        eval_split = dataclasses.replace(eval_split, train=train, validation=validation)
        say("subsets of inputs")
        found = contributions.contributions_of(
            predictor, eval_split, features, resamples, seed, step
        )
        figures = {
            name: baselines.figure(one, eval_split, resamples, seed)
            for name, one in singles.items()
        }
        say("damaged rows")
        broken = corruption_robustness.damage_of(
            predictor, eval_split, features, damaged, seed, step
        )
        against = (
            None
            if rival is None
            else baselines.damage_of_rival(rival, eval_split, damaged, seed, step)
        )
        told: list[Told | None] = [
            contributions.contributions_section(found, eval_split, figures),
            corruption_robustness.robustness_section(broken, eval_split, resamples, seed, against),
        ]
        for section in _SECTIONS:
            say(section.__name__.removesuffix("_section").replace("_", " "))
            told.append(section(eval_split, resamples, seed))
            step()
    written = _page(eval_split, [one for one in told if one is not None], manifest, resamples, seed)
    page.save(written, place)
    return ModelReport(written, found, broken)


def _check_numbers(**numbers):
    for name, number in numbers.items():
        least = 0 if name in ("resamples", "seed") else 2
        if number is not None and number < least:
            raise ValueError(f"{name} must be {least} or more, received {number}")


def _head(config, head):
    there = list(labelled(config.heads))
    if not there:
        raise ValueError(
            f"the model must have a head with a label, received {sorted(config.heads)}"
        )
    if head is not None and head not in config.heads:
        raise ValueError(f"head must be one of {there}, received {head!r}")
    head = there[0] if head is None else head
    row_scores.unit_of(config, head)
    return head


def _table(table, manifest):
    """The table that was ingested, if it can be read; whether it is the same one is told by its
    rows.
    """
    given = table is not None
    if not given:
        if not os.path.exists(manifest.table):
            return None
        table = read_table(manifest.table)
    rows = sum(len(chunk) for chunk in table.chunks())
    if rows == manifest.table_rows:
        return table
    if given:
        raise ValueError(
            f"table: must be the one that was ingested, of {manifest.table_rows} rows, received {table.name} of {rows}"
        )
    return None


def _other(predictor, directory, split, eval_split, table, manifest, seed) -> EvalSplit | None:
    if split == eval_split.split or not manifest.rows(split):
        return None
    return examine(predictor, directory, split, eval_split.head, table, FITTED_ON, seed)[0]


def _page(eval_split, told, manifest, resamples, seed):
    sentences = [sentence for one in told for sentence in one.sentences]
    return page.Page(
        f"What the model takes from each input to answer {eval_split.head}",
        [*_left_out(eval_split), *sentences],
        [one.section for one in told],
        _made(eval_split, manifest, resamples, seed),
    )


def _left_out(eval_split):
    """Inputs of which nothing can be said."""
    empty = [
        name
        for place, name in enumerate(eval_split.config.inputs)
        if not eval_split.present[:, place].any()
    ]
    return [
        f"No row of the {eval_split.split} split has {name}, so nothing can be said of it."
        for name in empty
    ]


def _made(eval_split, manifest, resamples, seed):
    drawn = "rows" if eval_split.groups is None else f"groups of {eval_split.config.split.group}"
    return {
        "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC",
        "table": manifest.table
        if eval_split.table is not None
        else f"{manifest.table}, which could not be read",
        "split": f"{eval_split.split}, {len(eval_split.rows):,} of {manifest.rows(eval_split.split):,} rows",
        "head": eval_split.head,
        "intervals": f"95 %, {resamples:,} bootstrap resamples of {drawn}" if resamples else "none",
        "seed": str(seed),
        **{name: importlib.metadata.version(name) for name in ("tensorflow", "keras")},
    }
