"""Robustness to corruptions, from the accuracy on clean rows and at each severity.

Everywhere `clean` is float `(...)` and `accuracy` float `(..., corruptions, severities)`, 0 to 1,
the severities mild to strong. Leading axes are free, such as one for bootstrap resamples, and are
those of the result. Any score that is higher for better models and at most 1 can stand for
accuracy. A baseline is `(clean, accuracy)` of another model on the same rows and corruptions, of
the same shapes.
"""

import numpy as np
from numpy.typing import ArrayLike

Baseline = tuple[ArrayLike, ArrayLike]

# errors or drop of a baseline up to this are rounding
_ROUNDING = 1e-12


def curve(clean: ArrayLike, accuracy: ArrayLike) -> np.ndarray:
    """Accuracy by severity, 0 (clean) included.

    Returns:
        float `(..., corruptions, 1 + severities)`.

    Raises:
        ValueError: the shapes disagree, there is no corruption or severity, or a value is not in
            0..1 (NaN is not).

    Example:
        >>> curve(0.9, [[0.8, 0.6], [0.9, 0.3]]).tolist()
        [[0.9, 0.8, 0.6], [0.9, 0.9, 0.3]]
    """
    start, values = _proportions("clean", clean), _of_corruptions("accuracy", accuracy)
    if start.shape != values.shape[:-2]:
        raise ValueError(
            f"clean must be {values.shape[:-2]}, as accuracy's leading axes are, "
            f"received {start.shape}"
        )
    first = np.broadcast_to(start[..., None, None], (*values.shape[:-1], 1))
    return np.concatenate([first, values], axis=-1)


def corruption_errors(accuracy: ArrayLike, baseline: ArrayLike | None = None) -> np.ndarray:
    """CE of each corruption: the error rate over all severities, relative to a baseline's if given.

    Args:
        accuracy: as the module says.
        baseline: the baseline's, of the same shape; None: the errors are not divided.

    Returns:
        float `(..., corruptions)`. NaN where the baseline makes no error.

    Raises:
        ValueError: the shapes disagree, or a value is not in 0..1.

    Example:
        >>> corruption_errors([[0.9, 0.7], [0.6, 0.4]], [[0.8, 0.4], [0.5, 0.5]]).round(3).tolist()
        [0.5, 1.0]

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261, section 4.
    """
    errors = 1 - _of_corruptions("accuracy", accuracy).mean(axis=-1)
    if baseline is None:
        return np.asarray(errors)
    return _ratio(errors, 1 - _same_shape(baseline, accuracy).mean(axis=-1))


def mean_corruption_error(accuracy: ArrayLike, baseline: ArrayLike | None = None) -> np.ndarray:
    """mCE: the mean of `corruption_errors`; float `(...)`, arguments and errors as there."""
    return np.asarray(corruption_errors(accuracy, baseline).mean(axis=-1))


def relative_corruption_errors(
    clean: ArrayLike, accuracy: ArrayLike, baseline: Baseline | None = None
) -> np.ndarray:
    """Relative CE of each corruption: the drop of accuracy below `clean` over all severities.

    With a baseline it is divided by the baseline's drop.

    Args:
        clean, accuracy: as the module says.
        baseline: `(clean, accuracy)`; None: the drops are not divided.

    Returns:
        float `(..., corruptions)`. NaN where the baseline does not drop: the ratio has no meaning.

    Raises:
        ValueError: as `curve`.

    Example:
        >>> relative_corruption_errors(0.9, [[0.8, 0.6]], (0.8, [[0.6, 0.4]])).round(3).tolist()
        [0.667]

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261, section 4.
    """
    drops = _drops(curve(clean, accuracy))
    return drops if baseline is None else _ratio(drops, _drops(_baseline_curve(baseline, accuracy)))


def relative_mean_corruption_error(
    clean: ArrayLike, accuracy: ArrayLike, baseline: Baseline | None = None
) -> np.ndarray:
    """Relative mCE: the mean of `relative_corruption_errors`; float `(...)`, arguments as there."""
    return np.asarray(relative_corruption_errors(clean, accuracy, baseline).mean(axis=-1))


def relative_robustness(clean: ArrayLike, accuracy: ArrayLike) -> np.ndarray:
    """MultiBench's relative robustness: the area under the curve of accuracy, per corruption.

    The curve runs from clean to the strongest severity. Severities are taken as evenly spaced from
    0 to 1, so the area is a mean accuracy: 1 for a model that is always right.

    Returns:
        float `(..., corruptions)`.

    Raises:
        ValueError: as `curve`.

    Example:
        >>> relative_robustness(0.9, [[0.8, 0.6]]).round(3).tolist()  # 0.5 (0.85 + 0.7)
        [0.775]

    Source: Liang et al. 2021 (MultiBench), arXiv:2107.07502, and its code, which then scales the
    compared methods to 0..1.
    """
    return _area(curve(clean, accuracy))


def effective_robustness(clean: ArrayLike, accuracy: ArrayLike, baseline: Baseline) -> np.ndarray:
    """MultiBench's effective robustness of each corruption, relative to a baseline.

    It is the area between the model's curve and the baseline's, moved up or down to the same clean
    accuracy. Above 0, the model's accuracy drops more slowly than the baseline's.

    Args:
        clean, accuracy: as the module says.
        baseline: `(clean, accuracy)`; in MultiBench that of late fusion.

    Returns:
        float `(..., corruptions)`.

    Raises:
        ValueError: as `curve`.

    Example:
        >>> baseline = (0.8, [[0.6, 0.4]])  # moved to 0.9: 0.9, 0.7, 0.5
        >>> effective_robustness(0.9, [[0.8, 0.6]], baseline).round(3).tolist()
        [0.075]

    Source: Liang et al. 2021 (MultiBench), arXiv:2107.07502; its code adds up the differences,
    while this is the area between the curves.
    """
    model, other = curve(clean, accuracy), _baseline_curve(baseline, accuracy)
    return _area(model - model[..., :1] - other + other[..., :1])


def _proportions(name: str, values: ArrayLike) -> np.ndarray:
    array = np.asarray(values, dtype=float)
    # NaN fails too
    inside = (array >= 0) & (array <= 1)
    if not inside.all():
        raise ValueError(f"{name} must lie in 0..1, received {array[~inside][0]}")
    return array


def _of_corruptions(name: str, values: ArrayLike) -> np.ndarray:
    array = _proportions(name, values)
    if array.ndim < 2 or not array.shape[-1] or not array.shape[-2]:
        raise ValueError(
            f"{name} must be (..., corruptions, severities), neither of them 0, "
            f"received {array.shape}"
        )
    return array


def _same_shape(baseline: ArrayLike, accuracy: ArrayLike) -> np.ndarray:
    array = _of_corruptions("the other model's accuracy", baseline)
    if array.shape != np.shape(accuracy):
        raise ValueError(
            f"the other model's accuracy must be {np.shape(accuracy)}, as the model's, "
            f"received {array.shape}"
        )
    return array


def _baseline_curve(baseline: Baseline, accuracy: ArrayLike) -> np.ndarray:
    clean, of_baseline = baseline
    return curve(clean, _same_shape(of_baseline, accuracy))


def _drops(curves: np.ndarray) -> np.ndarray:
    return np.asarray(curves[..., 0] - curves[..., 1:].mean(axis=-1))


def _area(curves: np.ndarray) -> np.ndarray:
    return np.asarray(np.trapezoid(curves, axis=-1) / (curves.shape[-1] - 1))


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """NaN where the denominator is 0."""
    found = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=found, where=denominator > _ROUNDING)
    return found
