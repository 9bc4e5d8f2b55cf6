"""Logistic and ridge regression whose strength of L2 the validation rows select."""

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import issparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge

Floats = npt.NDArray[np.float64]

# of the rows of a group of columns, on average, about the group's mean
LENGTH = 10.0
# of L2, as scikit-learn's C, from the strongest, for features of this length
STRENGTHS = tuple(10.0**power for power in range(-5, 2))
# where there are no validation rows
_USUAL = 0.01
# Share of a target that is spread over all classes where the strength is chosen: otherwise
# separable classes on few validation rows would choose the weakest. With more, they choose one that
# is too strong.
_SMOOTHING = 0.02
# of a group of columns that counts less
_SCALES = (0.3, 0.1)
# strengths after the best one
_BEYOND = 2
_ITERATIONS = 300
# variance of a group's rows below which they are equal
_CONSTANT = 1e-6


class Rows(NamedTuple):
    """Rows of a split: `x` `(rows, width)`, dense or sparse, `y` and `weight` `(rows,)`."""

    x: Any
    y: npt.NDArray[Any]
    weight: Floats


class Linear(NamedTuple):
    """A linear map: `kernel` `(width, outputs)`, `bias` `(outputs,)`.

    `losses` are those of the validation rows, `(rows,)`, times their weights, which are 1 on
    average.
    """

    kernel: Floats
    bias: Floats
    losses: Floats = np.array([np.inf])

    @property
    def loss(self) -> float:
        """The mean of `losses`."""
        return float(self.losses.mean())

    def is_better(self, other: "Linear") -> bool:
        """Whether the loss is lower by more than a standard error, as few rows say little."""
        gains = other.losses - self.losses
        return bool(gains.mean() > gains.std() / np.sqrt(len(gains)))


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
        groups: of columns; each in turn is tried at smaller scales, those before as chosen.
    """
    found = solve(train, validation)
    if validation is None or len(groups) < 2:
        return found
    best = np.ones(train.x.shape[1], np.float32)
    for group in groups:
        for scale in _SCALES:
            scales = best.copy()
            scales[group] = scale
            one = solve(_scaled(train, scales), _scaled(validation, scales))
            if one.is_better(found):
                found, best = one._replace(kernel=one.kernel * scales[:, None]), scales
    return found


def centred(
    solve: Callable[[Rows, Rows | None], Linear],
    train: Rows,
    validation: Rows | None,
    groups: Sequence[slice],
) -> Linear:
    """A regression over groups of columns about their means, whose rows have length 10 there.

    What all rows share, such as the spectrum of speech, says nothing about the target, but would
    set the scale for L2, and hide what differs from the solver. Sparse rows are scaled alone.

    Args:
        solve: as for `weighed`.
        train, validation: as for it.
        groups: of columns; others stay as they are.

    Returns:
        The `Linear` for the columns as they were given.
    """
    width = train.x.shape[1]
    means, scales = np.zeros(width, np.float32), np.ones(width, np.float32)
    for group in groups:
        own = train.x[:, group]
        mean = np.asarray(own.mean(axis=0)).ravel()
        squares = own.multiply(own) if issparse(own) else own**2
        # of the rows about their mean
        variance = float(squares.sum() / own.shape[0] - np.square(mean).sum())
        if variance > _CONSTANT:
            scales[group] = LENGTH / np.sqrt(variance)
        if not issparse(own):
            means[group] = mean

    def shifted(rows: Rows) -> Rows:
        return _scaled(rows if issparse(rows.x) else rows._replace(x=rows.x - means), scales)

    found = solve(shifted(train), None if validation is None else shifted(validation))
    kernel = found.kernel * scales[:, None]
    return found._replace(kernel=kernel, bias=found.bias - means @ kernel)


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
    rows, basis = _narrow(train)

    def fitted(strength: float) -> Linear:
        model.set_params(C=strength)
        _fit(model, rows)
        kernel, bias = _widened(model.coef_.T, basis), model.intercept_
        if len(seen) == 2:
            kernel, bias = np.hstack([-kernel, kernel]) / 2, np.array([-bias[0], bias[0]]) / 2
        shift = np.mean(found.bias[seen]) - bias.mean()
        whole = Linear(found.kernel.copy(), found.bias.copy())
        whole.kernel[:, seen], whole.bias[seen] = kernel, bias + shift
        return whole

    def losses(one: Linear, rows: Rows, smoothing: float = 0.0) -> Floats:
        logits = rows.x @ one.kernel + one.bias
        logits -= logits.max(axis=1, keepdims=True)
        true = logits[np.arange(len(rows.y)), rows.y]
        true = (1 - smoothing) * true + smoothing * logits[:, seen].mean(axis=1)
        return np.asarray(np.log(np.exp(logits).sum(axis=1)) - true)

    selected = _selected(fitted, functools.partial(losses, smoothing=_SMOOTHING), validation)
    # smoothed targets favour little confidence, and would choose scales for that
    return selected if validation is None else _judged(selected, losses, validation)


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
    rows, basis = _narrow(train)

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
            _fit(model, rows._replace(y=y, weight=weight))
            found.kernel[:, label] = _widened(model.coef_[0], basis)
            found.bias[label] = model.intercept_[0]
        return found

    def losses(one: Linear, rows: Rows) -> Floats:
        logits = rows.x @ one.kernel + one.bias
        by_label = weights(rows) * (np.logaddexp(0, logits) - rows.y * logits)
        return np.asarray(by_label.mean(axis=1))

    return _selected(fitted, losses, validation)


def ridge_regression(train: Rows, validation: Rows | None) -> Linear:
    """A number of mean 0 and standard deviation 1; `y` is float `(rows,)`."""

    def fitted(strength: float) -> Linear:
        model = Ridge(alpha=1 / strength)
        _fit(model, train)
        return Linear(model.coef_.reshape(-1, 1), np.array([float(model.intercept_)]))

    def losses(one: Linear, rows: Rows) -> Floats:
        errors = (rows.x @ one.kernel + one.bias)[:, 0] - rows.y
        return np.asarray(errors**2)

    return _selected(fitted, losses, validation)


def _narrow(rows: Rows) -> tuple[Rows, Any]:
    """Rows of fewer columns with the same inner products, and the basis of the columns; or None.

    The solution of an L2-regularized problem is a sum of rows, so it may be found among these.
    """
    if issparse(rows.x) or rows.x.shape[1] < 2 * rows.x.shape[0]:
        return rows, None
    basis, x = np.linalg.qr(rows.x.T)
    return rows._replace(x=np.ascontiguousarray(x.T)), basis


def _widened(kernel: Any, basis: Any) -> Any:
    return kernel if basis is None else basis @ kernel


def _fit(model: Any, rows: Rows) -> None:
    with warnings.catch_warnings():
        # weak regularization may need more steps, and is then seldom the best
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(rows.x, rows.y, sample_weight=rows.weight)


def _judged(one: Linear, losses: Callable[[Linear, Rows], Floats], rows: Rows) -> Linear:
    return one._replace(losses=losses(one, rows) * rows.weight / rows.weight.mean())


def _selected(
    fitted: Callable[[float], Linear], losses: Callable[[Linear, Rows], Floats], rows: Rows | None
) -> Linear:
    """The fit of the lowest loss; strengths well below the best are not tried."""
    if rows is None:
        return fitted(_USUAL)
    best, waited = _judged(fitted(STRENGTHS[0]), losses, rows), 0
    for strength in STRENGTHS[1:]:
        one = _judged(fitted(strength), losses, rows)
        waited += 1
        if one.loss < best.loss:
            best, waited = one, 0
        if waited >= _BEYOND:
            break
    return best
