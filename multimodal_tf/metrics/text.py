"""Metrics of a head that predicts texts."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from multimodal_tf.metrics import bootstrap
from multimodal_tf.metrics.known_rows import known_groups
from multimodal_tf.metrics.metric import HeadMetrics, estimate
from multimodal_tf.metrics.text_overlap import Statistic, overlap

_OF_TEXTS = ("exact_match", "wer", "cer", "bleu", "chrf", "rouge_l")
NO_TEXT = "no row has a target text and an input"
NOT_GENERATED = "no texts were predicted: give the model, not a function"


def text(
    scores: ArrayLike,
    texts: tuple[Sequence[str], Sequence[str]] | None = None,
    known: ArrayLike | None = None,
    resamples: int = 1000,
    seed: int = 0,
    groups: ArrayLike | None = None,
    is_choice: bool = False,
) -> HeadMetrics:
    """How well texts are predicted, with intervals.

    `exact_match` is the share of rows whose predicted text is the target; `wer`, `cer`, `bleu`,
    `chrf` and `rouge_l` are those of `overlap`. Of the target's tokens, each predicted from those
    before it, `token_accuracy` is the share of right ones, and `log_perplexity` their mean
    cross-entropy in nats; a row counts in these by its tokens, and not at all without any input.

    Args:
        scores: float `(rows, 4)`, as `models.heads.output` gives them: the loss, the target's log
            probability, right tokens and their number.
        texts: the targets and the predicted texts, one a row; None: none were predicted.
        known: `(rows,)`, 0 where there is no target. None: all have one.
        resamples, seed, groups: as in `classification`.
        is_choice: whether the texts are chosen from a list: `exact_match` is then `accuracy`.

    Raises:
        ValueError: a shape differs, or a number is NaN.

    Example:
        >>> scores = [[0.5, -1.0, 2, 2], [1.5, -3.0, 0, 2]]
        >>> found = text(scores, (["a", "b"], ["a", "c"]), resamples=0)
        >>> {name: found.metrics[name].value for name in ("exact_match", "wer", "log_perplexity")}
        {'exact_match': 0.5, 'wer': 0.5, 'log_perplexity': 1.0}
    """
    rows = np.asarray(scores, dtype=float)
    if rows.ndim != 2 or rows.shape[1] != 4:
        raise ValueError(f"predictions must have the shape (rows, 4), received {rows.shape}")
    if not np.isfinite(rows).all():
        raise ValueError("predictions must be finite numbers, received NaN or infinity")
    chosen = np.ones(len(rows), bool) if known is None else np.asarray(known) > 0
    _, logs, hits, counts = rows[chosen].T
    n = int(chosen.sum())
    codes = known_groups(groups, chosen, len(rows))
    of_texts = {} if texts is None or not n else _of_texts(texts, chosen)

    def statistic(index: np.ndarray) -> dict[str, float]:
        tokens = counts[index].sum()
        return {name: each(index) for name, each in of_texts.items()} | {
            "token_accuracy": hits[index].sum() / tokens if tokens else np.nan,
            "log_perplexity": -logs[index].sum() / tokens if tokens else np.nan,
        }

    values = statistic(np.arange(n)) if n else {}
    samples = bootstrap.resample(statistic, n, resamples, seed, codes)
    found = {}
    for name in (*_OF_TEXTS, "token_accuracy", "log_perplexity"):
        reason = NOT_GENERATED if n and name not in values else NO_TEXT
        title = "accuracy" if is_choice and name == "exact_match" else name
        found[title] = estimate(values.get(name), n, samples.get(name), reason)
    return HeadMetrics(type="text", n=n, metrics=found)


def _of_texts(
    texts: tuple[Sequence[str], Sequence[str]], chosen: np.ndarray
) -> dict[str, Statistic]:
    targets, predicted = (np.asarray(one, dtype=object) for one in texts)
    if targets.shape != chosen.shape or predicted.shape != chosen.shape:
        raise ValueError(
            f"texts must be {len(chosen)} targets and predictions, received {len(targets)} and "
            f"{len(predicted)}"
        )
    right = np.asarray((targets == predicted)[chosen], dtype=float)
    pairs = targets[chosen].tolist(), predicted[chosen].tolist()
    return {"exact_match": lambda index: float(right[index].mean()), **overlap(*pairs)}
