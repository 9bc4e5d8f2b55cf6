"""What each input of one row gives to the answer."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from multimodal_tf.evaluation.explanations.row import Row
from multimodal_tf.metrics.shapley import coalitions, shapley


@dataclasses.dataclass(frozen=True)
class Contributions:
    """What the inputs of one row give, in the score's unit.

    `nothing` and `everything`: the score without any input and with all. `shapley`: by input, what
    it adds in the mean over all orders in which the inputs could come; these add up to the
    difference of the two. `drop`: what is lost when it alone is left out. An input that is missing
    gives 0.
    """

    nothing: float
    everything: float
    shapley: dict[str, float]
    drop: dict[str, float]


def contributions(row: Row, permutations: int = 16, seed: int | Sequence[int] = 0) -> Contributions:
    """What each input of a row gives: exact up to 6 inputs that are there, above that over
    `permutations` drawn orders.

    Args:
        row: `Row`.
        permutations: int, at least 2.
        seed: int or several, of the draw.

    Example:
        >>> cells = {"title": np.array([b"red shoe"], object), "price": np.array([3.0]), "sound": np.array([b""], object)}
        >>> def answer(raw):
        ...     return {"sum": [len(cell) for cell in raw["title"]] + np.nan_to_num(raw["price"])}
        >>> contributions(Row(cells, answer, lambda answers: answers["sum"])).shapley
        {'title': 8.0, 'price': 3.0, 'sound': 0.0}

    Source: Shapley 1953, «A value for n-person games»; of a prediction: Štrumbelj and Kononenko
    2010, «An efficient explanation of individual classifications using game theory».
    """
    names = row.there
    absent = dict.fromkeys(row.cells, 0.0)
    if not names:
        nothing = float(row.scores([{}])[0])
        return Contributions(nothing, nothing, absent, dict(absent))
    of = coalitions(names, permutations, int(np.random.default_rng(seed).integers(2**31)))
    subsets = np.concatenate([of.present, np.zeros((1, len(names)), bool)])
    scores = row.scores(row.without(*np.array(names)[~present]) for present in subsets)
    values, nothing = scores[:-1], float(scores[-1])
    place = {tuple(present): number for number, present in enumerate(subsets.tolist())}
    left_out = [place[tuple(other != name for other in names)] for name in names]
    drops = values[len(of.present) - 1] - scores[left_out]
    return Contributions(
        nothing,
        float(values[-1]),
        absent | dict(zip(names, shapley(of, values, nothing).tolist())),
        absent | dict(zip(names, drops.tolist())),
    )
