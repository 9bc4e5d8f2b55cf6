"""The model report of a run without a head of labels: metrics, texts, retrieval, agreement."""

import dataclasses
import os

from multimodal_tf.config import TextHead
from multimodal_tf.config.heads import comparing, with_loss
from multimodal_tf.evaluation.eval_records import EvalRecords, SourceTable
from multimodal_tf.evaluation.evaluate import evaluate
from multimodal_tf.evaluation.in_depth import MAX_FIT_ROWS, Limits
from multimodal_tf.evaluation.predictor import Predictor
from multimodal_tf.report import page
from multimodal_tf.report.evaluation_page import evaluation_page
from multimodal_tf.report.findings import ranked
from multimodal_tf.report.model.alignment import alignment_section
from multimodal_tf.report.model.drawn_images import drawn_images_sections
from multimodal_tf.report.model.retrieval import retrieval_section
from multimodal_tf.report.model.section import ReportSection
from multimodal_tf.report.model.texts import texts_section


def page_without_labels(
    predictor: Predictor,
    records: str | os.PathLike[str],
    split: str,
    table: SourceTable | None,
    limits: Limits,
) -> page.Page:
    """Metrics of each head, texts, and of heads that compare inputs retrieval and mismatches.

    Of a head of images also rows with their targets and what is drawn.

    Contributions, robustness, errors and calibration are left out: they need a label.

    Args:
        predictor: of a run; a served model does not answer what such heads learn from.
        records: folder of the ingested records.
        split: "train", "validation" or "test".
        table: as in `EvalRecords.open`.
        limits: of rows, for retrieval and mismatched rows; metrics are those of the whole split.

    Raises:
        FileNotFoundError: ingest has not ended in `records`.
        ValueError: the model is served or none of its heads learns, or as `evaluate`.
    """
    config, heads = predictor.config, list(with_loss(predictor.config.heads))
    if predictor.model is None or not heads:
        kind = "a served model" if predictor.model is None else "a run"
        raise ValueError(
            "the model must have a head with a label, or be a run with a head that learns without, "
            f"received {kind} of {sorted(config.heads)}"
        )
    opened = EvalRecords.open(predictor, records, table)
    resamples, seed = limits.resamples, limits.seed
    evaluation = evaluate(
        predictor.model,
        config,
        predictor.schema,
        records,
        split,
        resamples,
        seed,
        table=opened.table,
    )
    written = evaluation_page(evaluation)
    findings, sections = list(written.summary), list(written.sections)
    drawn = drawn_images_sections(predictor, opened, split, limits)
    sections += [each.section for each in drawn]
    if comparing(config.heads):
        further = _of_pairs(predictor, opened, split, heads[0], limits)
        sections += [each.section for each in further]
        findings += ranked(finding for each in further for finding in each.findings)
    for name, head in config.heads.items():
        if isinstance(head, TextHead):
            of_texts = texts_section(predictor, opened, split, name, limits)
            sections.append(of_texts.section)
            findings += ranked(of_texts.findings)
    return dataclasses.replace(
        written, title=f"Model report: {', '.join(heads)}", summary=findings, sections=sections
    )


def _of_pairs(
    predictor: Predictor, opened: EvalRecords, split: str, head: str, limits: Limits
) -> list[ReportSection]:
    """How well heads that compare inputs find a row's other cell, and which rows do not fit."""
    rows, _ = opened.read(predictor, split, head, limits.rows, limits.seed)
    train, validation = (
        opened.other(predictor, name, rows, MAX_FIT_ROWS, limits.seed)
        for name in ("train", "validation")
    )
    rows = dataclasses.replace(rows, train=train, validation=validation)
    return [
        section(rows, limits.resamples, limits.seed)
        for section in (retrieval_section, alignment_section)
    ]
