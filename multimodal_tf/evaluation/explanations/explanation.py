"""All explanations of one row."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from multimodal_tf.config import Config
from multimodal_tf.evaluation.explanations.contributions import Contributions, contributions
from multimodal_tf.evaluation.explanations.deletion import Deletion, deletion
from multimodal_tf.evaluation.explanations.media import parts_of
from multimodal_tf.evaluation.explanations.parts import Parts
from multimodal_tf.evaluation.explanations.relevance import relevance
from multimodal_tf.evaluation.explanations.row import Row


@dataclasses.dataclass(frozen=True, eq=False)
class SaliencyMap:
    """The relevance of each part of a cell, and its test by deletion.

    `relevance` is float of `parts.shape`, in the score's unit.
    """

    parts: Parts
    relevance: np.ndarray
    deletion: Deletion


@dataclasses.dataclass(frozen=True, eq=False)
class Explanation:
    """The explanation of the prediction of one row.

    Args:
        contributions: `Contributions` of the inputs.
        maps: by input, for texts and media.
        broken: by input whose cell cannot be decoded, the reason.
    """

    contributions: Contributions
    maps: dict[str, SaliencyMap]
    broken: dict[str, str]


def explain(
    row: Row, config: Config, orders: int = 4, seed: int | Sequence[int] = 0
) -> Explanation:
    """Explains the prediction of one row.

    Computes the contribution of each input, a saliency map of each text and medium,
    and the deletion test of each map. A missing input contributes 0 and has no map. This predicts
    some hundred variants of the row per input.

    Args:
        row: `Row`.
        config: `Config` with the row's inputs.
        orders: int, number of random orders of the deletion test.
        seed: int or several. The same seed gives the same explanation.

    Example:
        >>> from multimodal_tf.config import ClassificationHead, TextInput
        >>> config = Config(inputs={"title": TextInput()}, heads={"label": ClassificationHead()})
        >>> def red(raw):
        ...     return np.array([b"red" in cell for cell in raw["title"]])
        >>> row = Row({"title": np.array([b"a red shoe"], object)}, lambda raw: raw, red)
        >>> explanation = explain(row, config)
        >>> explanation.contributions.shapley, explanation.maps["title"].relevance
        ({'title': 1.0}, array([0., 1., 0.]))
    """
    maps, broken = {}, {}
    for name in row.present:
        try:
            parts = parts_of(config.inputs[name], row.cell(name))
        except ValueError as error:
            broken[name] = str(error)
            continue
        if parts is not None:
            saliency = relevance(row, name, parts)
            curves = deletion(row, name, parts, saliency, orders, seed)
            maps[name] = SaliencyMap(parts, saliency, curves)
    return Explanation(contributions(row, seed=seed), maps, broken)
