"""The section with the images that a model draws, beside their targets."""

from multimodal_tf.config import ImageHead
from multimodal_tf.evaluation.drawn_images import DrawnImage, drawn_images
from multimodal_tf.evaluation.eval_records import EvalRecords
from multimodal_tf.evaluation.eval_split import EvalSplit
from multimodal_tf.evaluation.in_depth import Limits
from multimodal_tf.evaluation.predictor import Predictor
from multimodal_tf.report.model.example import PageCell, input_cells
from multimodal_tf.report.model.section import ReportSection, note_section, report_section
from multimodal_tf.report.page import Block, Example, Examples, Image

# rows of each list
_ROWS = 4
# a sample of each row with each
_SEEDS = (0, 1, 2)
_DESCRIPTION = (
    "Rows whose image is nearest to its target and farthest from it, by the squared error of a "
    "pixel. Samples of one seed draw the same latent vector in each row."
)


def drawn_images_sections(
    predictor: Predictor, records: EvalRecords, split: str, limits: Limits
) -> list[ReportSection]:
    """A section for each head of images; none of a served model, whose images are files.

    Args:
        predictor: the model.
        records: its records.
        split: "train", "validation" or "test".
        limits: of rows, from which the best and the worst are chosen.
    """
    if predictor.model is None:
        return []
    heads = [name for name, head in predictor.config.heads.items() if isinstance(head, ImageHead)]
    return [
        _section(predictor, records.read(predictor, split, name, limits.rows, limits.seed)[0])
        for name in heads
    ]


def _section(predictor: Predictor, eval_split: EvalSplit) -> ReportSection:
    title = f"Images of {eval_split.head}"
    best, worst = drawn_images(predictor, eval_split, _ROWS, _SEEDS)
    if not best:
        return note_section(title, _DESCRIPTION, "No row with an input has a target image.")
    lists = {"Least squared error": best, "Greatest squared error": worst}
    blocks: list[Block] = [
        Examples(name, [_example(eval_split, each) for each in images])
        for name, images in lists.items()
        if images
    ]
    return report_section(title, _DESCRIPTION, blocks)


def _example(eval_split: EvalSplit, each: DrawnImage) -> Example:
    cells: dict[str, PageCell] = {**input_cells(eval_split, each.index)}
    cells |= {"target image": Image(each.target), "predicted image": Image(each.drawn)}
    cells |= {f"sample, seed {seed}": Image(file) for seed, file in each.samples.items()}
    facts = {"squared error": f"{each.error:.4f}"}
    return Example(f"row {eval_split.rows[each.index]}", cells, None, None, facts)
