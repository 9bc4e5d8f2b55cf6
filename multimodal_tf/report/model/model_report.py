"""`model_report`: evaluates a model in depth on one split, and writes the result as one page."""

import dataclasses
import datetime
import importlib.metadata
import os
from collections.abc import Callable, Mapping

from multimodal_tf.config import Config, labelled
from multimodal_tf.evaluation import baselines, robustness, row_scores
from multimodal_tf.evaluation.contributions import modality_contributions
from multimodal_tf.evaluation.eval_records import EvalRecords, SourceTable
from multimodal_tf.evaluation.eval_split import EvalSplit, check_labels
from multimodal_tf.evaluation.predictor import Model, Predictor, predictor_of
from multimodal_tf.metrics.shapley import Contributions, coalitions
from multimodal_tf.progress import progress_bar
from multimodal_tf.report import page
from multimodal_tf.report.model.alignment import alignment_section
from multimodal_tf.report.model.calibration import calibration_section
from multimodal_tf.report.model.contributions import contributions_section
from multimodal_tf.report.model.errors import errors_section
from multimodal_tf.report.model.explanations import explanations_section
from multimodal_tf.report.model.ood import ood_section
from multimodal_tf.report.model.retrieval import retrieval_section
from multimodal_tf.report.model.robustness import robustness_section
from multimodal_tf.report.model.section import ReportSection
from multimodal_tf.schema import Schema

# rows that OOD scores are fitted on, at most
MAX_FIT_ROWS = 5000
# sections that need the split only, by what the progress bar shows
_SECTIONS: dict[str, Callable[[EvalSplit, int, int], ReportSection]] = {
    "alignment": alignment_section,
    "OOD detection": ood_section,
    "retrieval": retrieval_section,
    "calibration": calibration_section,
    "errors": errors_section,
    "explanations": explanations_section,
}


@dataclasses.dataclass(frozen=True)
class ModelReport:
    """A model report.

    Args:
        page: the page.
        contributions: Shapley values and subsets of inputs.
        robustness: row scores on corrupted cells.
    """

    page: page.Page
    contributions: Contributions
    robustness: robustness.CorruptionScores


@dataclasses.dataclass(frozen=True)
class _Setup:
    """The model, the models that it is compared with, the head, and the records."""

    predictor: Predictor
    head: str
    records: EvalRecords
    unimodal: Mapping[str, Predictor]
    baseline: Predictor | None


@dataclasses.dataclass(frozen=True)
class _Limits:
    """Rows of the split and rows to corrupt, at most; how intervals are drawn."""

    rows: int | None
    corrupted: int | None
    resamples: int
    seed: int

    def __post_init__(self) -> None:
        for name, least in {"rows": 2, "corrupted": 2, "resamples": 0, "seed": 0}.items():
            number = getattr(self, name)
            if number is not None and number < least:
                raise ValueError(f"{name} must be {least} or more, received {number}")


def model_report(
    model: Model,
    records: str | os.PathLike[str],
    out: str | os.PathLike[str],
    config: Config | None = None,
    schema: Schema | None = None,
    split: str = "test",
    head: str | None = None,
    table: SourceTable | None = None,
    unimodal: Mapping[str, Model] | None = None,
    baseline: Model | None = None,
    rows: int | None = 2000,
    corrupted: int | None = 500,
    resamples: int = 1000,
    seed: int = 0,
    progress: bool = False,
) -> ModelReport:
    """Evaluates a model on one split, and writes one HTML page with its data as JSON and CSV.

    Args:
        model: from `load_run`, a Keras model of `build_model`, or the folder of a SavedModel that
            `export_model` wrote.
        records: folder of the ingested records.
        out: folder for `index.html`, `report.json` and `data/`; an earlier report is replaced.
        config, schema: of a Keras model. A run and a SavedModel have their own.
        split: "train", "validation" or "test".
        head: the head to report on; None: the first with a label.
        table: what was ingested; None: read from where ingest found it, if it is still there.
        unimodal: by input, a model that was trained with this input only.
        baseline: another model, for effective robustness.
        rows, corrupted: int, random samples for all, and for each corruption; None: all rows.
        resamples: int. Bootstrap resamples for the intervals; 0: no intervals.
        seed: int, not negative. For samples, corruptions and resamples.
        progress: whether to show a progress bar.

    Raises:
        FileNotFoundError: ingest has not ended in `records`, or there is no such SavedModel.
        FileExistsError: `out` holds other files.
        ValueError: models, records, table, head and split do not fit together, a number is out of
            range, fewer than two rows have labels, or a prediction is NaN. Nothing is written then.

    Example:
        >>> model_report("saved_models/shop/1", "runs/shop/records", "report")  # doctest: +SKIP
    """
    folder, limits = page.check_out(out), _Limits(rows, corrupted, resamples, seed)
    setup = _setup(predictor_of(model, config, schema), records, head, table, unimodal, baseline)
    report = _report(setup, split, limits, progress)
    page.save(report.page, folder)
    return report


def _setup(
    predictor: Predictor,
    records: str | os.PathLike[str],
    head: str | None,
    table: SourceTable | None,
    unimodal: Mapping[str, Model] | None,
    baseline: Model | None,
) -> _Setup:
    head = _head(predictor.config, head)
    opened = EvalRecords.open(predictor, records, table)
    models = baselines.unimodal_models(unimodal or {}, predictor, head)
    other = None if baseline is None else baselines.baseline_model(baseline, predictor, head)
    return _Setup(predictor, head, opened, models, other)


def _head(config: Config, head: str | None) -> str:
    heads = list(labelled(config.heads))
    if not heads:
        raise ValueError(
            f"the model must have a head with a label, received {sorted(config.heads)}"
        )
    if head is not None and head not in config.heads:
        raise ValueError(f"head must be one of {heads}, received {head!r}")
    chosen = heads[0] if head is None else head
    row_scores.unit_of(config, chosen)
    return chosen


def _report(setup: _Setup, split: str, limits: _Limits, progress: bool) -> ModelReport:
    predictor, resamples, seed = setup.predictor, limits.resamples, limits.seed
    with progress_bar("reading rows", "steps", shown=progress) as update:

        def step() -> None:
            update(advance=1)

        eval_split, features = setup.records.read(predictor, split, setup.head, limits.rows, seed)
        check_labels(eval_split)
        update(total=_steps(setup, eval_split))
        eval_split = _with_other_splits(setup, eval_split, seed)
        update(description="subsets of inputs")
        found = modality_contributions(predictor, eval_split, features, resamples, seed, step)
        unimodal_scores = {
            name: baselines.mean_score(one, eval_split, resamples, seed)
            for name, one in setup.unimodal.items()
        }
        update(description="corrupted rows")
        scores = robustness.corruption_scores(
            predictor, eval_split, features, limits.corrupted, seed, step
        )
        of_baseline = None
        if setup.baseline is not None:
            of_baseline = robustness.corruption_scores(
                setup.baseline,
                baselines.predicted_by(setup.baseline, eval_split),
                setup.baseline.features(eval_split.raw),
                limits.corrupted,
                seed,
                step,
            )
        sections = [
            contributions_section(found, eval_split, unimodal_scores),
            robustness_section(scores, eval_split, resamples, seed, of_baseline),
        ]
        for name, section in _SECTIONS.items():
            update(description=name)
            sections.append(section(eval_split, resamples, seed))
            step()
    written = _page(eval_split, sections, setup.records, resamples, seed)
    return ModelReport(written, found, scores)


def _steps(setup: _Setup, eval_split: EvalSplit) -> int:
    """Number of steps of the progress bar."""
    subsets = len(coalitions(list(setup.predictor.config.inputs)).present)
    corrupted = robustness.count_steps(robustness.corruptions_of(eval_split))
    models = 1 if setup.baseline is None else 2
    return subsets + corrupted * models + len(_SECTIONS)


def _with_other_splits(setup: _Setup, eval_split: EvalSplit, seed: int) -> EvalSplit:
    train, validation = (
        setup.records.other(setup.predictor, name, eval_split, MAX_FIT_ROWS, seed)
        for name in ("train", "validation")
    )
    return dataclasses.replace(eval_split, train=train, validation=validation)


def _page(
    eval_split: EvalSplit,
    sections: list[ReportSection],
    records: EvalRecords,
    resamples: int,
    seed: int,
) -> page.Page:
    missing = [
        f"No row of the {eval_split.split} split has {name}, so nothing is known about it."
        for index, name in enumerate(eval_split.config.inputs)
        if not eval_split.present[:, index].any()
    ]
    drawn = "rows" if eval_split.groups is None else f"groups of {eval_split.config.split.group}"
    made_with = {
        "date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC",
        **records.described(eval_split),
        "head": eval_split.head,
        "intervals": f"95 %, {resamples:,} bootstrap resamples of {drawn}" if resamples else "none",
        "seed": str(seed),
        **{name: importlib.metadata.version(name) for name in ("tensorflow", "keras")},
    }
    return page.Page(
        f"Model report: {eval_split.head}",
        [*missing, *(sentence for each in sections for sentence in each.sentences)],
        [each.section for each in sections],
        made_with,
    )
