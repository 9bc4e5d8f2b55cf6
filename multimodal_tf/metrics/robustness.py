"""How well a model bears corruptions: figures from its accuracy on clean rows and at each severity.

Everywhere `clean` is float `(...)` and `accuracy` float `(..., corruptions, severities)`, 0..1, the
severities mild to strong; leading axes are free, such as one for bootstrap resamples, and are those
of the result. Any figure of which more is better and 1 is the best will do for accuracy. A baseline
is `(clean, accuracy)` of another model on the same rows and corruptions, of the same shapes.
"""

from collections.abc import Mapping

import numpy as np
import pydantic
from numpy.typing import ArrayLike

Baseline = tuple[ArrayLike, ArrayLike]
# by corruption, accuracy by severity
Curves = Mapping[str, ArrayLike]

# errors or drop of a baseline up to this are rounding
_NOTHING = 1e-12
_MEANS = ("mean_corruption_error", "mean_drop", "relative_robustness", "effective_robustness")


class Summary(pydantic.BaseModel):
    """What several corruptions do to a model; all but `clean` are means over them."""

    clean: float
    # share of errors; with a baseline, over the baseline's; null: that makes none somewhere
    mean_corruption_error: float | None
    # of accuracy, below `clean`; with a baseline, over its drop (relative mCE); null: that does not
    # drop somewhere
    mean_drop: float | None
    # area under the curve of accuracy
    relative_robustness: float
    # that area above the baseline's, brought to the same clean accuracy; null: no baseline
    effective_robustness: float | None = None
    # the corruption with the least accuracy
    worst: str


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
    start, values = _shares("clean", clean), _of_corruptions("accuracy", accuracy)
    if start.shape != values.shape[:-2]:
        raise ValueError(
            f"clean must be {values.shape[:-2]}, as accuracy's leading axes are, received {start.shape}"
        )
    first = np.broadcast_to(start[..., None, None], (*values.shape[:-1], 1))
    return np.concatenate([first, values], axis=-1)


def corruption_errors(accuracy: ArrayLike, baseline: ArrayLike | None = None) -> np.ndarray:
    """CE of each corruption: the share of errors, over all severities, and with a baseline as a
    multiple of the baseline's.

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
        return errors
    return _over(errors, 1 - _alike(baseline, accuracy).mean(axis=-1))


def mean_corruption_error(accuracy: ArrayLike, baseline: ArrayLike | None = None) -> np.ndarray:
    """mCE: the mean of `corruption_errors`; float `(...)`, arguments and errors as there."""
    return corruption_errors(accuracy, baseline).mean(axis=-1)


def relative_corruption_errors(
    clean: ArrayLike, accuracy: ArrayLike, baseline: Baseline | None = None
) -> np.ndarray:
    """Relative CE of each corruption: the drop of accuracy below `clean`, over all severities, with
    a baseline as a multiple of its drop.

    Args:
        clean, accuracy: as the module says.
        baseline: `(clean, accuracy)`; None: the drops are not divided.

    Returns:
        float `(..., corruptions)`. NaN where the baseline does not drop: the ratio would say
        nothing.

    Raises:
        ValueError: as `curve`.

    Example:
        >>> relative_corruption_errors(0.9, [[0.8, 0.6]], (0.8, [[0.6, 0.4]])).round(3).tolist()
        [0.667]

    Source: Hendrycks and Dietterich 2019, arXiv:1903.12261, section 4.
    """
    drops = _drops(curve(clean, accuracy))
    return drops if baseline is None else _over(drops, _drops(_baseline_curve(baseline, accuracy)))


def relative_mean_corruption_error(
    clean: ArrayLike, accuracy: ArrayLike, baseline: Baseline | None = None
) -> np.ndarray:
    """Relative mCE: the mean of `relative_corruption_errors`; float `(...)`, arguments and errors
    as there.
    """
    return relative_corruption_errors(clean, accuracy, baseline).mean(axis=-1)


def relative_robustness(clean: ArrayLike, accuracy: ArrayLike) -> np.ndarray:
    """MultiBench's relative robustness of each corruption: the area under the curve of accuracy,
    from clean to the strongest severity.

    Severities are taken as evenly spaced from 0 to 1, so that the area is a mean accuracy: 1 for a
    model that is always right.

    Returns:
        float `(..., corruptions)`.

    Raises:
        ValueError: as `curve`.

    Example:
        >>> relative_robustness(0.9, [[0.8, 0.6]]).round(3).tolist()  # ((0.9 + 0.8) / 2 + (0.8 + 0.6) / 2) / 2
        [0.775]

    Source: Liang et al. 2021 (MultiBench), arXiv:2107.07502, and its code, which then scales the
    methods under comparison to 0..1.
    """
    return _area(curve(clean, accuracy))


def effective_robustness(clean: ArrayLike, accuracy: ArrayLike, baseline: Baseline) -> np.ndarray:
    """MultiBench's effective robustness of each corruption: the area between the model's curve and
    the baseline's, moved up or down to the same clean accuracy. Above 0, the model's accuracy drops
    more slowly than the baseline's.

    Args:
        clean, accuracy: as the module says.
        baseline: `(clean, accuracy)`; in MultiBench that of late fusion.

    Returns:
        float `(..., corruptions)`.

    Raises:
        ValueError: as `curve`.

    Example:
        >>> effective_robustness(0.9, [[0.8, 0.6]], (0.8, [[0.6, 0.4]])).round(3).tolist()  # baseline moved: 0.9, 0.7, 0.5
        [0.075]

    Source: Liang et al. 2021 (MultiBench), arXiv:2107.07502; its code adds up the differences,
    where here is the area between the curves.
    """
    model, other = curve(clean, accuracy), _baseline_curve(baseline, accuracy)
    return _area(model - model[..., :1] - other + other[..., :1])


def effective_robustness_beyond_trend(
    clean: ArrayLike, shifted: ArrayLike, trend_clean: ArrayLike, trend_shifted: ArrayLike
) -> np.ndarray:
    """Taori's effective robustness: accuracy on shifted rows beyond what the clean accuracy alone
    lets expect.

    What is expected is read from a straight line through other models, fitted by least squares
    between the logits of the two accuracies.

    Args:
        clean, shifted: float, of one shape, 0..1. Accuracies of the models that are judged;
            `shifted` is, say, the mean over corruptions.
        trend_clean, trend_shifted: float `(models,)`, 0..1. Those of at least two models of
        different clean accuracy.

    Returns:
        float, of that shape, in accuracy.

    Raises:
        ValueError: the shapes disagree, a value is not between 0 and 1, where logits end, or all
        models of the trend are equally accurate.

    Example:
        >>> effective_robustness_beyond_trend([0.9], [0.7], [0.6, 0.8, 0.9], [0.3, 0.5, 0.6]).round(2).tolist()
        [0.09]

    Source: Taori et al. 2020, arXiv:2007.00644, section 2 and its logit scaling.
    """
    x, y, own, reached = (
        _logits(name, values)
        for name, values in (
            ("trend_clean", trend_clean),
            ("trend_shifted", trend_shifted),
            ("clean", clean),
            ("shifted", shifted),
        )
    )
    if x.ndim != 1 or x.shape != y.shape or own.shape != reached.shape:
        shapes = [each.shape for each in (own, reached, x, y)]
        raise ValueError(
            f"clean and shifted must be of one shape, and both of the trend (models,), received {shapes}"
        )
    if len(np.unique(x)) < 2:
        raise ValueError(
            f"a trend needs models of at least 2 different clean accuracies, received {np.asarray(trend_clean).tolist()}"
        )
    slope, offset = np.polyfit(x, y, 1)
    return _sigmoid(reached) - _sigmoid(slope * own + offset)


def relative_robustness_gain(accuracy: ArrayLike, without: ArrayLike) -> np.ndarray:
    """Taori's relative robustness of an intervention: how much more accurate the model with it is
    on the same corrupted rows.

    Args:
        accuracy: as the module says, of the model with the intervention, such as modality dropout.
        without: of the same model without it, of the same shape.

    Returns:
        float `(..., corruptions)`, mean over the severities.

    Raises:
        ValueError: the shapes disagree, or a value is not in 0..1.

    Example:
        >>> relative_robustness_gain([[0.8, 0.6]], [[0.7, 0.3]]).round(3).tolist()
        [0.2]

    Source: Taori et al. 2020, arXiv:2007.00644, section 2.
    """
    return (_of_corruptions("accuracy", accuracy) - _alike(without, accuracy)).mean(axis=-1)


def summary(clean: float, curves: Curves, baseline: tuple[float, Curves] | None = None) -> Summary:
    """All figures of one input's corruptions, each counted alike.

    Args:
        clean: accuracy on clean rows.
        curves: by corruption, float `(severities,)`; all of one length.
        baseline: the same two of another model, with the same corruptions, or None.

    Raises:
        ValueError: as `curve`, or the baseline has other corruptions.

    Example:
        >>> found = summary(0.9, {"blur": [0.8, 0.6], "noise": [0.7, 0.5]})
        >>> round(found.mean_corruption_error, 3), round(found.mean_drop, 3), found.worst
        (0.35, 0.25, 'noise')
    """
    accuracy, other = _stacked(curves), None
    if baseline is not None:
        _check_names("corruptions", curves, baseline[1])
        other = baseline[0], _stacked({name: baseline[1][name] for name in curves})
    return Summary(
        clean=clean,
        mean_corruption_error=_defined(mean_corruption_error(accuracy, other and other[1])),
        mean_drop=_defined(relative_mean_corruption_error(clean, accuracy, other)),
        relative_robustness=float(relative_robustness(clean, accuracy).mean()),
        effective_robustness=None
        if other is None
        else float(effective_robustness(clean, accuracy, other).mean()),
        worst=list(curves)[int(accuracy.mean(axis=1).argmin())],
    )


def by_input(
    clean: float,
    curves: Mapping[str, Curves],
    baseline: tuple[float, Mapping[str, Curves]] | None = None,
) -> tuple[dict[str, Summary], Summary]:
    """`summary` of each input, and of all: the mean of theirs, so that each input counts alike
    however many corruptions it has.

    Args:
        clean: accuracy on clean rows.
        curves: by input and corruption, float `(severities,)`. Several inputs corrupted together
        can stand under a name of their own.
        baseline: the same two of another model, with the same inputs and corruptions, or None.

    Returns:
        `(summary by input, summary of all)`; the latter's `worst` is "input: corruption".

    Raises:
        ValueError: as `summary`; there is no input, or the baseline has other inputs.

    Example:
        >>> inputs, whole = by_input(0.9, {"photo": {"blur": [0.8, 0.6]}, "title": {"typos": [0.7, 0.5], "case": [0.9, 0.9]}})
        >>> round(inputs["title"].mean_corruption_error, 3), round(whole.mean_corruption_error, 3), whole.worst
        (0.25, 0.275, 'title: typos')
    """
    if not curves:
        raise ValueError("curves must hold at least one input, received none")
    if baseline is not None:
        _check_names("inputs", curves, baseline[1])
    found = {
        name: summary(clean, curves[name], baseline and (baseline[0], baseline[1][name]))
        for name in curves
    }
    means = {name: _mean_of([getattr(each, name) for each in found.values()]) for name in _MEANS}
    accuracy = {
        f"{name}: {of}": np.mean(np.asarray(values))
        for name, each in curves.items()
        for of, values in each.items()
    }
    return found, Summary(
        clean=clean, **means, worst=min(accuracy, key=lambda name: accuracy[name])
    )


def _shares(name, values):
    array = np.asarray(values, dtype=float)
    # NaN fails too
    if not ((array >= 0) & (array <= 1)).all():
        wrong = array[~((array >= 0) & (array <= 1))]
        raise ValueError(f"{name} must lie in 0..1, received {wrong[0]}")
    return array


def _of_corruptions(name, values):
    array = _shares(name, values)
    if array.ndim < 2 or not array.shape[-1] or not array.shape[-2]:
        raise ValueError(
            f"{name} must be (..., corruptions, severities), neither of them 0, received {array.shape}"
        )
    return array


def _alike(other, accuracy):
    array = _of_corruptions("the other model's accuracy", other)
    if array.shape != np.shape(accuracy):
        raise ValueError(
            f"the other model's accuracy must be {np.shape(accuracy)}, as the model's, received {array.shape}"
        )
    return array


def _baseline_curve(baseline, accuracy):
    clean, of_baseline = baseline
    return curve(clean, _alike(of_baseline, accuracy))


def _check_names(what, curves, of_baseline):
    if curves.keys() != of_baseline.keys():
        raise ValueError(
            f"the baseline must have the {what} {sorted(curves)}, received {sorted(of_baseline)}"
        )


def _defined(value):
    return None if np.isnan(value) else float(value)


def _mean_of(values):
    return None if None in values else float(np.mean(values))


def _stacked(curves):
    lengths = {name: np.shape(values) for name, values in curves.items()}
    if not lengths or len(set(lengths.values())) > 1:
        raise ValueError(
            f"curves must hold at least one corruption, and all the same severities, received {lengths}"
        )
    return np.stack([np.asarray(values, dtype=float) for values in curves.values()])


def _drops(curves):
    return curves[..., 0] - curves[..., 1:].mean(axis=-1)


def _area(curves):
    return np.trapezoid(curves, axis=-1) / (curves.shape[-1] - 1)


def _over(part, whole):
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > _NOTHING)


def _logits(name, values):
    array = np.asarray(values, dtype=float)
    if not ((array > 0) & (array < 1)).all():
        wrong = array[~((array > 0) & (array < 1))]
        raise ValueError(
            f"{name} must lie between 0 and 1, where there are logits, received {wrong[0]}"
        )
    return np.log(array / (1 - array))


def _sigmoid(values):
    return 1 / (1 + np.exp(-values))
