"""The range of a column's numbers, and numbers that are far from all others."""

from collections.abc import Sequence

import numpy as np

from multimodal_tf.data.describe.column_description import Spread

# interquartile ranges from the quartiles, from which on a number is far out; Tukey's outer fence
# is at 3, where many columns of sound numbers have some
_FAR = 20.0
# a larger share is a part of the column
_FEW = 0.02


def number_range(values: Sequence[float]) -> tuple[Spread | None, str]:
    """The spread of numbers, and what is to be said of those that are far out; "" without any.

    Example:
        >>> number_range([*range(100), 1e6])[1]
        '1 of 101 numbers is far from the others: 1e+06'
        >>> number_range(list(range(100)))[1]
        ''
    """
    spread = Spread.of(values)
    if spread is None:
        return None, ""
    numbers = np.array(values, float)
    low, high = np.percentile(numbers, [25, 75])
    fence = _FAR * (high - low)
    far = numbers[(numbers < low - fence) | (numbers > high + fence)]
    if not fence or not len(far) or len(far) > max(1, _FEW * len(numbers)):
        return spread, ""
    worst = far[np.argmax(np.abs(far - spread.median))]
    many = f"{len(far)} of {len(numbers)} numbers"
    if len(far) == 1:
        return spread, f"{many} is far from the others: {worst:g}"
    return spread, f"{many} are far from the others, such as {worst:g}"
