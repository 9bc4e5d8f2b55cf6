"""Does the model notice rows that are unlike its training rows? Damaged rows, other data, broken
cells, against clean rows.
"""

import dataclasses
from collections.abc import Iterable

import numpy as np

from multimodal_tf.corruptions import corrupted
from multimodal_tf.evaluation import matching, ood, ood_samples, ood_scores
from multimodal_tf.evaluation.eval_split import EvalSplit, Told
from multimodal_tf.report.page import Bars, Block, Column, Figure, HeatMap, Note, Section, Table

TITLE = "Does it notice strange rows?"
# the rate at which limits are chosen
FALSE_ALARMS = 0.05
# clean rows, and as many of each kind of strange ones
MOST_ROWS = 1000
# the severity of damage
STRONG = 5
_READING = (
    "Scores of strangeness, fitted on training rows, tell clean rows from damaged ones and from other data. AUROC is the chance that a "
    "strange row scores higher than a clean one; FPR is the share of strange rows that pass where 95 % of the clean ones do."
)
_NO_DISTANCE = "There is no fused embedding of training rows, so no distance can be fitted: energy and maximum softmax probability are left."
_NO_CLASSES = "The head does not choose one class, so it has neither energy nor a maximum softmax probability."


def ood_section(
    eval_split: EvalSplit, resamples: int, seed: int, other: EvalSplit | None = None
) -> Told:
    """How well scores of strangeness tell clean rows from strange ones, and which input the
    strangeness comes from.

    Scores: Mahalanobis distance and nearest neighbours of the fused embedding, fitted on
    `eval_split.train`; energy (of logits whose mean is 0) and maximum softmax probability. Strange
    rows: all inputs damaged at severity 5; one input's cells, and all, replaced by other data
    (white noise, random letters, far numbers); one cell of each row broken; and the rows of
    `other`. Limits are those of validation rows, at a false-alarm rate of 5 %.

    Args:
        examined: `EvalSplit`.
        resamples: int. For the intervals, which draw a row and what became of it together, groups
        as a whole; 0: no intervals.
        seed: int, of what is drawn and of the intervals.
        other: rows of another data set with the same inputs, of which only `raw` is read.

    Returns:
        `Told`; its section is one Note where no score can be computed.
    """
    measures = ood_scores.ood_scores_of(eval_split)
    if not measures:
        return _note(
            "The model has no embeddings of training rows, and its head does not choose one class: there is no score."
        )
    rows = _judged(eval_split, seed)
    if not len(rows):
        return _note("No row of this split has an input.")
    clean = (
        {name: said[rows] for name, said in eval_split.predictions.items()},
        {name: v[rows] for name, v in eval_split.embeddings.items()},
    )
    groups = None if eval_split.groups is None else eval_split.groups[rows]
    limits = {name: _limit(eval_split.validation, measure) for name, measure in measures.items()}
    usual = {name: measure(*clean) for name, measure in measures.items()}
    table: list[list] = []
    areas: dict[str, dict[str, Figure]] = {name: {} for name in measures}
    sources = {}
    for kind, made in _strange(eval_split, rows, seed, other):
        said = (
            eval_split.predict(made.raw),
            eval_split.embed(made.raw) if eval_split.embeddings else {},
        )
        for name, measure in measures.items():
            figures = _figures(
                usual[name], measure(*said), limits[name], made.of, groups, resamples, seed
            )
            table.append([kind, name, *figures])
            areas[name][kind] = figures[0]
        if made.replaced is not None:
            sources[made.replaced] = (rows[made.of], said[1])
    first = next(iter(areas))
    blocks: list[Block] = (
        []
        if ood_scores.MAHALANOBIS in measures or ood_scores.NEAREST in measures
        else [Note(_NO_DISTANCE)]
    )
    blocks += [] if ood_scores.chooses(eval_split) else [Note(_NO_CLASSES)]
    blocks.append(Bars(f"Clean rows from strange ones by {first}", areas[first]))
    blocks.append(
        Table(
            "Strange rows by score",
            _columns(("strange rows", "score"), ("AUROC", "FPR at 95 % TPR", "above the limit")),
            table,
        )
    )
    blocks.append(_clean_alarms(usual, limits, groups, resamples, seed))
    blocks += _where_from(eval_split, sources)
    blocks.append(_of_nothing(eval_split, measures[first], limits[first], first))
    return Told(Section(TITLE, _READING, blocks), _sentences(first, areas))


def _judged(eval_split, seed):
    """Clean rows that have any input, as places in the arrays."""
    rows = np.flatnonzero(eval_split.present.any(axis=1))
    return (
        rows
        if len(rows) <= MOST_ROWS
        else np.sort(np.random.default_rng(seed).choice(rows, MOST_ROWS, replace=False))
    )


@dataclasses.dataclass(frozen=True)
class _Made:
    """Strange rows: their raw cells, the places of the clean rows that they were made of (None: of
    none), and the one input that was replaced (None: not one)."""

    raw: dict
    of: np.ndarray | None
    replaced: str | None = None


def _strange(eval_split, rows, seed, other) -> Iterable[tuple[str, _Made]]:
    """Kinds of strange rows, one after another."""
    parts, stats = eval_split.config.inputs, eval_split.schema.inputs
    raw = {name: cells[rows] for name, cells in eval_split.raw.items()}
    numbers, every = eval_split.rows[rows], np.arange(len(rows))

    def changed(name, change):
        return corrupted(raw[name], name, change, STRONG, seed, numbers)

    damaged = {
        name: changed(name, ood_samples.damaged(part, stats.get(name)))
        for name, part in parts.items()
    }
    yield f"all inputs damaged, severity {STRONG}", _Made(damaged, every)
    strange = {
        name: changed(name, ood_samples.other_data(part, stats.get(name)))
        for name, part in parts.items()
    }
    for place, name in enumerate(parts if len(parts) > 1 else ()):
        of = np.flatnonzero(eval_split.present[rows, place])
        if len(of):
            yield (
                f"other data as {name}",
                _Made(
                    {key: cells[of] for key, cells in (raw | {name: strange[name]}).items()},
                    of,
                    name,
                ),
            )
    yield (
        "other data in all inputs" if len(parts) > 1 else f"other data as {next(iter(parts))}",
        _Made(strange, every),
    )
    yield "one cell broken", _Made(_broken(eval_split, raw, rows, changed, seed), every)
    if other is not None and len(other.rows):
        some = _judged(other, seed)
        yield "rows of another data set", _Made({name: other.raw[name][some] for name in raw}, None)


def _broken(eval_split, raw, rows, changed, seed):
    """One of the cells that each row has, drawn."""
    there = eval_split.present[rows]
    order = np.random.default_rng(seed).random(there.shape)
    chosen = np.where(there, order, -1).argmax(axis=1)
    found = {}
    for place, (name, part) in enumerate(eval_split.config.inputs.items()):
        cells, bad = raw[name].copy(), changed(name, ood_samples.broken(part))
        cells[chosen == place] = bad[chosen == place]
        found[name] = cells
    return found


def _limit(validation, measure) -> float | str:
    """Of validation rows that have any input; a reason where there is none."""
    if validation is None:
        return "there is no validation split to choose a limit on"
    there = validation.present.any(axis=1)
    kept = (
        {name: said[there] for name, said in validation.predictions.items()},
        {n: v[there] for n, v in validation.embeddings.items()},
    )
    try:
        return ood.threshold(measure(*kept), FALSE_ALARMS)
    except ValueError as error:
        return str(error)


def _figures(usual, found, limit, of, groups, resamples, seed):
    """AUROC, FPR at 95 % TPR and the share above the limit, of strange rows that were made of some
    of the clean ones, or of none.
    """
    if of is not None:
        own = None if groups is None else groups[of]
        return [
            *ood_scores.apart(usual[of], found, own, resamples, seed),
            _caught(found, limit, own, resamples, seed),
        ]
    told = ood.separation(usual, found, False, resamples, seed).metrics
    pairs = ((told["auroc"], ood_scores.AUROC), (told["fpr_at_95_tpr"], ood_scores.FPR))
    figures = [Figure(each.value, len(found), unit, each.low, each.high) for each, unit in pairs]
    return [*figures, _caught(found, limit, None, resamples, seed)]


def _caught(found, limit, groups, resamples, seed):
    if isinstance(limit, str):
        return Figure(None, len(found), "share of rows", reason=limit)
    return ood_scores.share(
        found > limit,
        "share of rows",
        groups if groups is not None and len(groups) == len(found) else None,
        resamples,
        seed,
    )


def _clean_alarms(usual, limits, groups, resamples, seed):
    rows = [
        [
            name,
            "none" if isinstance(limit, str) else f"{limit:.4g}",
            _caught(usual[name], limit, groups, resamples, seed),
        ]
        for name, limit in limits.items()
    ]
    title = f"Limits of validation rows at a false-alarm rate of {FALSE_ALARMS:.0%}, on clean rows of this split"
    return Table(title, _columns(("score", "limit"), ("false alarms",)), rows)


def _where_from(eval_split, sources) -> list[Block]:
    """Whose own embedding is furthest beyond its limit, by replaced input; `sources` holds rows and
    embeddings by replaced input.
    """
    own = eval_split.config.vector_inputs()
    judges = {name: judge for name in own if (judge := _own_score(eval_split, name)) is not None}
    replaced = [name for name in sources if any(name in own[vector] for vector in judges)]
    if len(judges) < 2 or not replaced:
        return []
    values = []
    for name in replaced:
        rows, embeddings = sources[name]
        there = matching.vectors_present(eval_split.present[rows], eval_split.config)
        times = [
            np.where(there[vector], judge(embeddings[vector]), -np.inf)
            for vector, judge in judges.items()
        ]
        values.append(np.bincount(np.argmax(times, axis=0), minlength=len(judges)).tolist())
    title = (
        "Where the strangeness comes from: which input's own embedding is furthest beyond its limit"
    )
    return [
        HeatMap(
            title,
            replaced,
            list(judges),
            values,
            "replaced input",
            "strangest input",
            "rows",
            by_row=True,
        )
    ]


def _own_score(eval_split, name):
    """How many times its limit an input's own distance is, as a function of its embedding; None
    where that cannot be had.
    """
    validation = eval_split.validation
    fitted = ood_scores.fitted(eval_split, name)
    if validation is None or not fitted:
        return None
    score = next(iter(fitted.values()))
    there = matching.vectors_present(validation.present, eval_split.config)[name]
    usual = score(validation.embeddings[name][there]) if there.any() else np.zeros(0)
    middle = float(np.quantile(usual, 1 - FALSE_ALARMS)) if len(usual) else 0.0
    return (lambda vectors: score(vectors) / middle) if middle > 0 else None


def _of_nothing(eval_split, measure, limit, name):
    """What a row without any input scores."""
    raw = {key: _missing(cells[:1]) for key, cells in eval_split.raw.items()}
    found = float(
        measure(eval_split.predict(raw), eval_split.embed(raw) if eval_split.embeddings else {})[0]
    )
    side = (
        ""
        if isinstance(limit, str)
        else f", {'above' if found > limit else 'below'} the limit of {limit:.4g}"
    )
    return Note(
        f"A row without any input scores {found:.4g} by {name}{side}. An exported model with a guard has it reviewed in any case."
    )


def _missing(cells):
    cells = cells.copy()
    cells[:] = np.nan if np.issubdtype(cells.dtype, np.floating) else b""
    return cells


def _columns(texts, numbers):
    return [*(Column(name) for name in texts), *(Column(name, "number") for name in numbers)]


def _sentences(score, areas):
    kinds = areas[score]
    worst, best = (choose(kinds, key=lambda kind: kinds[kind].value) for choose in (min, max))
    said = f"Of strange rows, by {score}, «{best}» is noticed best, with an AUROC of {ood_scores.in_words(kinds[best])}, «{worst}» least, with "
    means = {
        name: float(np.mean([figure.value for figure in found.values()]))
        for name, found in areas.items()
    }
    first = max(means, key=lambda name: means[name])
    notice = f"Over these kinds of strange rows {first} notices most: its mean AUROC is {means[first]:.3f}"
    others = ", ".join(f"{name} {mean:.3f}" for name, mean in means.items() if name != first)
    return (
        f"{said}{ood_scores.in_words(kinds[worst])}.",
        f"{notice} ({others})." if others else f"{notice}.",
    )


def _note(text):
    return Told(Section(TITLE, _READING, [Note(text)]), ())
