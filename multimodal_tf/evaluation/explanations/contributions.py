"""The contribution of each input to the prediction of one row."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from multimodal_tf.evaluation.explanations.row import Row
from multimodal_tf.metrics.shapley import coalitions, shapley


@dataclasses.dataclass(frozen=True)
class Contributions:
    """The contributions of the inputs of one row, in the score's unit.

    Args:
        no_inputs: the score without any input.
        all_inputs: the score with all inputs.
        shapley: by input, its Shapley value. The values add up to `all_inputs - no_inputs`. A
            missing input has 0.
        drop: by input, the drop of the score when it alone is left out. A missing input has 0.
    """

    no_inputs: float
    all_inputs: float
    shapley: dict[str, float]
    drop: dict[str, float]


def contributions(row: Row, permutations: int = 16, seed: int | Sequence[int] = 0) -> Contributions:
    """The Shapley value of each input of a row.

    Exact up to 6 present inputs; with more, estimated from sampled permutations.

    Args:
        row: `Row`.
        permutations: int, at least 2.
        seed: int or several, for the permutations.

    Example:
        >>> cells = {
        ...     "title": np.array([b"red shoe"], object),
        ...     "price": np.array([3.0]),
        ...     "sound": np.array([b""], object),
        ... }
        >>> def predict(raw):
        ...     return {"sum": [len(cell) for cell in raw["title"]] + np.nan_to_num(raw["price"])}
        >>> contributions(Row(cells, predict, lambda predictions: predictions["sum"])).shapley
        {'title': 8.0, 'price': 3.0, 'sound': 0.0}

    Source: Shapley 1953, «A value for n-person games»; of a prediction: Štrumbelj and Kononenko
    2010, «An efficient explanation of individual classifications using game theory».
    """
    names = row.present
    missing = dict.fromkeys(row.cells, 0.0)
    if not names:
        no_inputs = float(row.scores([{}])[0])
        return Contributions(no_inputs, no_inputs, missing, dict(missing))
    of = coalitions(names, permutations, int(np.random.default_rng(seed).integers(2**31)))
    subsets = np.concatenate([of.present, np.zeros((1, len(names)), bool)])
    scores = row.scores(row.without(*np.array(names)[~present]) for present in subsets)
    values, no_inputs = scores[:-1], float(scores[-1])
    index_of = {tuple(present): index for index, present in enumerate(subsets.tolist())}
    without_one = [index_of[tuple(other != name for other in names)] for name in names]
    drops = values[len(of.present) - 1] - scores[without_one]
    return Contributions(
        no_inputs,
        float(values[-1]),
        missing | dict(zip(names, shapley(of, values, no_inputs).tolist())),
        missing | dict(zip(names, drops.tolist())),
    )
