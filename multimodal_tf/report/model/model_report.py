"""`model_report`: evaluates a model in depth on one split, and writes the result as one page."""

import dataclasses
import datetime
import importlib.metadata
import os
from collections.abc import Mapping

from multimodal_tf.config import Config, labelled
from multimodal_tf.evaluation import row_scores
from multimodal_tf.evaluation.eval_records import (
    EvalRecords,
    EvalRows,
    EvalSource,
    SourceTable,
    evaluated_rows,
)
from multimodal_tf.evaluation.eval_split import EvalSplit
from multimodal_tf.evaluation.in_depth import (
    Analysis,
    EvalSetup,
    InDepth,
    Limits,
    evaluate_in_depth,
)
from multimodal_tf.evaluation.predictor import Model, predictor_of
from multimodal_tf.evaluation.robustness import CorruptionScores
from multimodal_tf.metrics.shapley import Contributions
from multimodal_tf.report import page
from multimodal_tf.report.findings import Finding, ranked
from multimodal_tf.report.model.alignment import alignment_section
from multimodal_tf.report.model.calibration import calibration_section
from multimodal_tf.report.model.contributions import contributions_section
from multimodal_tf.report.model.drawn_images import drawn_images_sections
from multimodal_tf.report.model.errors import errors_section
from multimodal_tf.report.model.explanations import explanations_section
from multimodal_tf.report.model.ood import ood_section
from multimodal_tf.report.model.retrieval import retrieval_section
from multimodal_tf.report.model.robustness import robustness_section
from multimodal_tf.report.model.section import ReportSection
from multimodal_tf.report.model.without_labels import page_without_labels
from multimodal_tf.schema import Schema

# sections that need the split only, by what the progress bar shows
_SECTIONS: dict[str, Analysis[ReportSection]] = {
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
        contributions: Shapley values and subsets of inputs; None where no head has a label.
        robustness: row scores on corrupted cells; None where no head has a label.
    """

    page: page.Page
    contributions: Contributions | None
    robustness: CorruptionScores | None


def model_report(
    model: Model,
    records: EvalSource,
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

    Where no head has labels it has the metrics of each, of an alignment also mismatched rows.

    Args:
        model: from `load_run`, a Keras model of `build_model`, or the folder of a SavedModel.
        records: folder of the ingested records; or a labelled table (path, `Table`, DataFrame), all
            of whose rows are evaluated, without OOD scores, which need training rows.
        out: folder for `index.html`, `report.json` and `data/`; an earlier report is replaced.
        config, schema: of a Keras model; others have their own.
        split: "train", "validation" or "test", of records.
        head: to report on; None: the first with a label.
        table: what was ingested; None: read from where ingest found it, if still there.
        unimodal, baseline: by input a model of it alone; another one, for effective robustness.
        rows, corrupted: random samples for all, and for each corruption; None: all rows.
        resamples, seed: of intervals and samples; 0 resamples: no intervals.
        progress: show a progress bar.

    Raises:
        OSError: ingest has not ended in `records`, there is no such SavedModel, `out` holds others.
        ValueError: models, records, table, head and split do not fit, a number is out of range,
            fewer than two rows have labels, or a prediction is NaN. Nothing is written.

    Example:
        >>> model_report("saved_models/shop/1", "runs/shop/records", "report")  # doctest: +SKIP
    """
    folder, limits = page.check_out(out), Limits(rows, corrupted, resamples, seed)
    predictor = predictor_of(model, config, schema)
    chosen = _head(predictor.config, head) if labelled(predictor.config.heads) else None
    if chosen is None:
        _check_needs_labels(predictor.config, head=head, unimodal=unimodal, baseline=baseline)
    with evaluated_rows(model, predictor.config, records, split, table) as of:
        if chosen is None:
            written = page_without_labels(predictor, of.records, of.split, of.table, limits)
            page.save(_noted(written, of), folder)
            return ModelReport(written, None, None)
        setup = EvalSetup.open(predictor, chosen, of.records, of.table, unimodal, baseline)
        found = evaluate_in_depth(setup, of.split, limits, _SECTIONS, progress)
        drawn = drawn_images_sections(predictor, setup.records, of.split, limits)
        sections = [*_sections(found, resamples, seed), *drawn]
        written = _noted(_page(found.eval_split, sections, setup.records, resamples, seed), of)
        page.save(written, folder)
    return ModelReport(written, found.contributions, found.robustness)


def _noted(written: page.Page, of: EvalRows) -> page.Page:
    """The page with what of a table is missing or left out."""
    if of.keeps:
        return written
    made_with = dict(written.made_with) | {"split": of.named}
    notes = [f"{note[:1].upper()}{note[1:]}." for note in of.notes]
    return dataclasses.replace(written, made_with=made_with, summary=[*notes, *written.summary])


def _check_needs_labels(config: Config, **given: object) -> None:
    """Refuses arguments that a model without labels has no use for."""
    for name, value in given.items():
        if value:
            raise ValueError(
                f"{name} needs a model that has a head with a label, "
                f"received one with {sorted(config.heads)}"
            )


def _head(config: Config, head: str | None) -> str:
    heads = list(labelled(config.heads))
    if head is not None and head not in config.heads:
        raise ValueError(f"head must be one of {heads}, received {head!r}")
    chosen = heads[0] if head is None else head
    row_scores.unit_of(config, chosen)
    return chosen


def _sections(found: InDepth[ReportSection], resamples: int, seed: int) -> list[ReportSection]:
    return [
        contributions_section(found.contributions, found.eval_split, found.unimodal),
        robustness_section(
            found.robustness, found.eval_split, resamples, seed, found.baseline_robustness
        ),
        *found.analyses,
    ]


def _page(
    eval_split: EvalSplit,
    sections: list[ReportSection],
    records: EvalRecords,
    resamples: int,
    seed: int,
) -> page.Page:
    missing = [
        Finding(
            f"No row of the {eval_split.split} split has {name}, so nothing is known about it.", 2
        )
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
        ranked([*missing, *(finding for each in sections for finding in each.findings)]),
        [each.section for each in sections],
        made_with,
        [tile for each in sections for tile in each.tiles],
    )
