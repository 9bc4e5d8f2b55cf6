"""Logistic and ridge regression whose strength of L2 the validation rows select."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import issparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge

Floats = npt.NDArray[np.float64]

# of L2, as scikit-learn's C, from the strongest; features of an input have length 10
STRENGTHS = tuple(10.0**power for power in range(-5, 2))
# where there are no validation rows
_USUAL = 0.01
# Share of a target that is spread over all classes where the strength is chosen: otherwise
# separable classes on few validation rows would choose the weakest.
_SMOOTHING = 0.1
# of a group of columns that counts less
_SCALES = (0.3, 0.1)
# strengths after the best one
_BEYOND = 2
_ITERATIONS = 300


class Rows(NamedTuple):
    """Rows of a split: `x` `(rows, width)`, dense or sparse, `y` and `weight` `(rows,)`."""

    x: Any
    y: npt.NDArray[Any]
    weight: Floats


class Linear(NamedTuple):
    """A linear map: `kernel` `(width, outputs)`, `bias` `(outputs,)`, its loss in validation."""

    kernel: Floats
    bias: Floats
    loss: float = np.inf


def weighed(
    solve: Callable[[Rows, Rows | None], Linear],
    train: Rows,
    validation: Rows | None,
    groups: Sequence[slice],
) -> Linear:
    """A regression in which a group of columns may count less, if validation rows say so.

    A weak input beside a strong one would otherwise cost accuracy, since L2 treats both alike.

    Args:
        solve: one of the regressions below.
        train, validation: as for it.
        groups: of columns; each is tried at smaller scales by itself.
    """
    found = solve(train, validation)
    if validation is None or len(groups) < 2:
        return found
    for group in groups:
        for scale in _SCALES:
            scales = np.ones(train.x.shape[1], np.float32)
            scales[group] = scale
            one = solve(_scaled(train, scales), _scaled(validation, scales))
            if one.loss < found.loss:
                found = one._replace(kernel=one.kernel * scales[:, None])
    return found


def _scaled(rows: Rows, scales: Any) -> Rows:
    return rows._replace(x=rows.x.multiply(scales).tocsr() if issparse(rows.x) else rows.x * scales)


def softmax_regression(train: Rows, validation: Rows | None, priors: Sequence[float]) -> Linear:
    """Logits of classes; `y` is their index.

    Args:
        train: rows with a weight above 0.
        validation: rows with a weight above 0, or None.
        priors: logits of each class, of which only those without training rows are used.
    """
    seen = np.unique(train.y)
    found = Linear(np.zeros((train.x.shape[1], len(priors))), np.array(priors, float))
    if len(seen) < 2:
        return found
    model = LogisticRegression(max_iter=_ITERATIONS, warm_start=True)

    def fitted(strength: float) -> Linear:
        model.set_params(C=strength)
        _fit(model, train)
        kernel, bias = model.coef_.T, model.intercept_
        if len(seen) == 2:
            kernel, bias = np.hstack([-kernel, kernel]) / 2, np.array([-bias[0], bias[0]]) / 2
        shift = np.mean(found.bias[seen]) - bias.mean()
        whole = Linear(found.kernel.copy(), found.bias.copy())
        whole.kernel[:, seen], whole.bias[seen] = kernel, bias + shift
        return whole

    def loss(one: Linear, rows: Rows) -> float:
        logits = rows.x @ one.kernel + one.bias
        logits -= logits.max(axis=1, keepdims=True)
        true = logits[np.arange(len(rows.y)), rows.y]
        true = (1 - _SMOOTHING) * true + _SMOOTHING * logits[:, seen].mean(axis=1)
        return float(np.average(np.log(np.exp(logits).sum(axis=1)) - true, weights=rows.weight))

    return _selected(fitted, loss, validation)


def sigmoid_regression(
    train: Rows,
    validation: Rows | None,
    priors: Sequence[float],
    positive: npt.ArrayLike = 1.0,
    negative: npt.ArrayLike = 1.0,
) -> Linear:
    """Logits of independent labels; `y` is bool `(rows, labels)`, else as `softmax_regression`.

    `positive` and `negative`, `(labels,)`, weigh the rows that bear a label and those that do not.
    """
    models = [LogisticRegression(max_iter=_ITERATIONS, warm_start=True) for _ in priors]

    def weights(rows: Rows) -> Floats:
        return np.broadcast_to(np.where(rows.y > 0.5, positive, negative), rows.y.shape)

    def fitted(strength: float) -> Linear:
        found = Linear(np.zeros((train.x.shape[1], len(priors))), np.array(priors, float))
        for label, model in enumerate(models):
            y = train.y[:, label] > 0.5
            if y.all() or not y.any():
                continue
            model.set_params(C=strength)
            weight = train.weight * weights(train)[:, label]
            _fit(model, train._replace(y=y, weight=weight))
            found.kernel[:, label], found.bias[label] = model.coef_[0], model.intercept_[0]
        return found

    def loss(one: Linear, rows: Rows) -> float:
        logits = rows.x @ one.kernel + one.bias
        by_row = (weights(rows) * (np.logaddexp(0, logits) - rows.y * logits)).mean(axis=1)
        return float(np.average(by_row, weights=rows.weight))

    return _selected(fitted, loss, validation)


def ridge_regression(train: Rows, validation: Rows | None) -> Linear:
    """A number of mean 0 and standard deviation 1; `y` is float `(rows,)`."""

    def fitted(strength: float) -> Linear:
        model = Ridge(alpha=1 / strength)
        _fit(model, train)
        return Linear(model.coef_.reshape(-1, 1), np.array([float(model.intercept_)]))

    def loss(one: Linear, rows: Rows) -> float:
        errors = (rows.x @ one.kernel + one.bias)[:, 0] - rows.y
        return float(np.average(errors**2, weights=rows.weight))

    return _selected(fitted, loss, validation)


def _fit(model: Any, rows: Rows) -> None:
    with warnings.catch_warnings():
        # weak regularization may need more steps, and is then seldom the best
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(rows.x, rows.y, sample_weight=rows.weight)


def _selected(
    fitted: Callable[[float], Linear], loss: Callable[[Linear, Rows], float], rows: Rows | None
) -> Linear:
    """The fit of the lowest loss; strengths well below the best are not tried."""
    if rows is None:
        return fitted(_USUAL)
    best = fitted(STRENGTHS[0])
    lowest, waited = loss(best, rows), 0
    for strength in STRENGTHS[1:]:
        one = fitted(strength)
        found = loss(one, rows)
        waited += 1
        if found < lowest:
            best, lowest, waited = one, found, 0
        if waited >= _BEYOND:
            break
    return best._replace(loss=lowest)
