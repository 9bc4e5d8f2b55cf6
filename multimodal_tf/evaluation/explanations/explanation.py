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
class Map:
    """What the parts of a cell are worth, and what their deletion does: `relevance` is float of
    `parts.shape`, in the score's unit.
    """

    parts: Parts
    relevance: np.ndarray
    deletion: Deletion


@dataclasses.dataclass(frozen=True, eq=False)
class Explanation:
    """What the answer to a row hangs on. `maps`: by input, of pictures, texts, sounds and videos;
    `broken`: by input, why there is none.
    """

    contributions: Contributions
    maps: dict[str, Map]
    broken: dict[str, str]


def explain(
    row: Row, config: Config, orders: int = 4, seed: int | Sequence[int] = 0
) -> Explanation:
    """Explains the answer to one row: what each input gives, a map of each picture, text, sound and
    video, and whether the maps are right.

    An input that is missing gives nothing and has no map. Some hundred variants of the row are
    answered for each input.

    Args:
        row: `Row`.
        config: `Config`, of its inputs.
        orders: int, in which parts are deleted at random.
        seed: int or several. The same seed gives the same explanation.

    Example:
        >>> from multimodal_tf.config import ClassificationHead, TextInput
        >>> config = Config(inputs={"title": TextInput()}, heads={"label": ClassificationHead()})
        >>> def red(raw):
        ...     return np.array([b"red" in cell for cell in raw["title"]])
        >>> row = Row({"title": np.array([b"a red shoe"], object)}, lambda raw: raw, red)
        >>> found = explain(row, config)
        >>> found.contributions.shapley, found.maps["title"].relevance
        ({'title': 1.0}, array([0., 1., 0.]))
    """
    maps, broken = {}, {}
    for name in row.there:
        try:
            parts = parts_of(config.inputs[name], row.cell(name))
        except ValueError as error:
            broken[name] = str(error)
            continue
        if parts is not None:
            marked = relevance(row, name, parts)
            maps[name] = Map(parts, marked, deletion(row, name, parts, marked, orders, seed))
    return Explanation(contributions(row, seed=seed), maps, broken)
