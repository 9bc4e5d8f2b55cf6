"""How far predicted texts are from their targets, as counts that add up over rows."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

# from the rows of a resample to a metric
Statistic = Callable[[np.ndarray], float]
_COUNTS = ("substitutions", "deletions", "insertions", "hits")


def overlap(targets: Sequence[str], predicted: Sequence[str]) -> Mapping[str, Statistic]:
    """Word and character error rates (`jiwer`), BLEU and chrF (`sacrebleu`), ROUGE-L of a corpus.

    Args:
        targets: one a row, none of them empty.
        predicted: one a row.

    Returns:
        By metric a function of int `(rows,)`, which rows: `wer` and `cer`, edits over the words or
        characters of the targets, 0 where all are equal and above 1 where much is inserted; `bleu`
        and `chrf`, 0 to 100, as `sacrebleu` gives them for these rows; `rouge_l`, 0 to 1, the mean
        of `rouge_l`.

    Source: Papineni et al. 2002; Popović 2015; Post 2018, arXiv:1804.08771; Lin 2004.
    """
    # these imports take a second, and other heads do not need them
    import jiwer
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    words = [jiwer.process_words(*pair) for pair in zip(targets, predicted)]
    characters = [jiwer.process_characters(*pair) for pair in zip(targets, predicted)]
    found = {"wer": _rate(words), "cer": _rate(characters)}
    # its warning is of tokenized input
    for name, metric in (("bleu", BLEU(force=True)), ("chrf", CHRF())):
        found[name] = _score(metric, targets, predicted)
    of_rows = np.array([rouge_l(*pair) for pair in zip(targets, predicted)])
    return found | {"rouge_l": lambda index: float(of_rows[index].mean())}


def rouge_l(target: str, predicted: str) -> float:
    """The F measure of the longest common subsequence of words, whatever their case, 0 to 1.

    Example:
        >>> rouge_l("a red cat sat", "A cat sat down there")  # 3 of 4 and 3 of 5 words
        0.6666666666666666

    Source: Lin 2004, «ROUGE: A Package for Automatic Evaluation of Summaries», equations 2 to 4,
    with equal weights of precision and recall.
    """
    from rapidfuzz.distance import LCSseq

    both = target.lower().split(), predicted.lower().split()
    return 2 * LCSseq.similarity(*both) / max(sum(map(len, both)), 1)


def edit_share(target: str, predicted: str) -> float:
    """Characters to be inserted, left out or replaced, over those of the longer text, 0 to 1.

    Example:
        >>> edit_share("cat", "cart")
        0.25
    """
    from rapidfuzz.distance import Levenshtein

    return float(Levenshtein.normalized_distance(target, predicted))


def _rate(rows: Sequence[object]) -> Statistic:
    counts = np.array(
        [[getattr(row, name) for name in _COUNTS] for row in rows], dtype=float
    ).reshape(-1, len(_COUNTS))
    edits, lengths = counts[:, :3].sum(axis=1), counts[:, [0, 1, 3]].sum(axis=1)
    return lambda index: float(edits[index].sum() / lengths[index].sum())


def _score(metric: object, targets: Sequence[str], predicted: Sequence[str]) -> Statistic:
    """A metric of sums over rows: sacrebleu's own bootstrap goes by these methods, too."""
    extract, compute = (
        getattr(metric, name)
        for name in ("_extract_corpus_statistics", "_compute_score_from_stats")
    )
    rows = np.array(extract(list(predicted), [list(targets)]))
    return lambda index: float(compute(rows[index].sum(axis=0).tolist()).score)
