"""Does the model notice rows that are unlike its training rows? Damaged rows, other data, broken cells, against clean rows."""

import dataclasses
from collections.abc import Iterable

import numpy as np

from multimodal_tf.evaluation import matched, novelty
from multimodal_tf.evaluation.corruptions import corrupted
from multimodal_tf.evaluation.page import Bars, Block, Column, Figure, HeatMap, Note, Section, Table
from multimodal_tf.evaluation.perception import foreign, scores
from multimodal_tf.evaluation.perception.examined import Examined, Told

TITLE = "Does it notice strange rows?"
FALSE_ALARMS = 0.05  # the rate at which limits are chosen
MOST_ROWS = 1000  # clean rows, and as many of each kind of strange ones
STRONG = 5  # the severity of damage
_READING = (
    "Scores of strangeness, fitted on training rows, tell clean rows from damaged ones and from other data. AUROC is the chance that a "
    "strange row scores higher than a clean one; FPR is the share of strange rows that pass where 95 % of the clean ones do."
)
_NO_DISTANCE = (
    "There is no fused embedding of training rows, so no distance can be fitted: energy and maximum softmax probability are left."
)
_NO_CLASSES = "The head does not choose one class, so it has neither energy nor a maximum softmax probability."


def novelty_section(examined: Examined, resamples: int, seed: int, other: Examined | None = None) -> Told:
    """How well scores of strangeness tell clean rows from strange ones, and which input the strangeness comes from.

    Scores: Mahalanobis distance and nearest neighbours of the fused embedding, fitted on `examined.train`; energy (of logits whose mean is
    0) and maximum softmax probability. Strange rows: all inputs damaged at severity 5; one input's cells, and all, replaced by other data
    (white noise, random letters, far numbers); one cell of each row broken; and the rows of `other`. Limits are those of validation rows,
    at a false-alarm rate of 5 %.

    Args:
        examined: `Examined`.
        resamples: int. For the intervals, which draw a row and what became of it together, groups as a whole; 0: no intervals.
        seed: int, of what is drawn and of the intervals.
        other: rows of another data set with the same inputs, of which only `raw` is read.

    Returns:
        `Told`; its section is one Note where no score can be computed.
    """
    measures = scores.novelty_scores(examined)
    if not measures:
        return _note("The model has no embeddings of training rows, and its head does not choose one class: there is no score.")
    rows = _judged(examined, seed)
    if not len(rows):
        return _note("No row of this split has an input.")
    clean = ({name: said[rows] for name, said in examined.answers.items()}, {name: v[rows] for name, v in examined.embeddings.items()})
    groups = None if examined.groups is None else examined.groups[rows]
    limits = {name: _limit(examined.validation, measure) for name, measure in measures.items()}
    usual = {name: measure(*clean) for name, measure in measures.items()}
    table: list[list] = []
    areas: dict[str, dict[str, Figure]] = {name: {} for name in measures}
    sources = {}
    for kind, made in _strange(examined, rows, seed, other):
        said = (examined.answer(made.raw), examined.embed(made.raw) if examined.embeddings else {})
        for name, measure in measures.items():
            figures = _figures(usual[name], measure(*said), limits[name], made.of, groups, resamples, seed)
            table.append([kind, name, *figures])
            areas[name][kind] = figures[0]
        if made.replaced is not None:
            sources[made.replaced] = (rows[made.of], said[1])
    first = next(iter(areas))
    blocks: list[Block] = [] if scores.MAHALANOBIS in measures or scores.NEAREST in measures else [Note(_NO_DISTANCE)]
    blocks += [] if scores.chooses(examined) else [Note(_NO_CLASSES)]
    blocks.append(Bars(f"Clean rows from strange ones by {first}", areas[first]))
    blocks.append(
        Table("Strange rows by score", _columns(("strange rows", "score"), ("AUROC", "FPR at 95 % TPR", "above the limit")), table)
    )
    blocks.append(_clean_alarms(usual, limits, groups, resamples, seed))
    blocks += _where_from(examined, sources)
    blocks.append(_of_nothing(examined, measures[first], limits[first], first))
    return Told(Section(TITLE, _READING, blocks), _sentences(first, areas))


def _judged(examined, seed):
    """Clean rows that have any input, as places in the arrays."""
    rows = np.flatnonzero(examined.present.any(axis=1))
    return rows if len(rows) <= MOST_ROWS else np.sort(np.random.default_rng(seed).choice(rows, MOST_ROWS, replace=False))


@dataclasses.dataclass(frozen=True)
class _Made:
    """Strange rows: their raw cells, the places of the clean rows that they were made of (None: of none), and the one input that was
    replaced (None: not one)."""

    raw: dict
    of: np.ndarray | None
    replaced: str | None = None


def _strange(examined, rows, seed, other) -> Iterable[tuple[str, _Made]]:
    """Kinds of strange rows, one after another."""
    parts, learnt = examined.config.inputs, examined.schema.inputs
    raw = {name: cells[rows] for name, cells in examined.raw.items()}
    numbers, every = examined.rows[rows], np.arange(len(rows))

    def changed(name, change):
        return corrupted(raw[name], name, change, STRONG, seed, numbers)

    damaged = {name: changed(name, foreign.damaged(part, learnt.get(name))) for name, part in parts.items()}
    yield f"all inputs damaged, severity {STRONG}", _Made(damaged, every)
    strange = {name: changed(name, foreign.other_data(part, learnt.get(name))) for name, part in parts.items()}
    for place, name in enumerate(parts if len(parts) > 1 else ()):
        of = np.flatnonzero(examined.present[rows, place])
        if len(of):
            yield f"other data as {name}", _Made({key: cells[of] for key, cells in (raw | {name: strange[name]}).items()}, of, name)
    yield "other data in all inputs" if len(parts) > 1 else f"other data as {next(iter(parts))}", _Made(strange, every)
    yield "one cell broken", _Made(_broken(examined, raw, rows, changed, seed), every)
    if other is not None and len(other.rows):
        some = _judged(other, seed)
        yield "rows of another data set", _Made({name: other.raw[name][some] for name in raw}, None)


def _broken(examined, raw, rows, changed, seed):
    """One of the cells that each row has, drawn."""
    there = examined.present[rows]
    order = np.random.default_rng(seed).random(there.shape)
    chosen = np.where(there, order, -1).argmax(axis=1)
    found = {}
    for place, (name, part) in enumerate(examined.config.inputs.items()):
        cells, bad = raw[name].copy(), changed(name, foreign.broken(part))
        cells[chosen == place] = bad[chosen == place]
        found[name] = cells
    return found


def _limit(validation, measure) -> float | str:
    """Of validation rows that have any input; a reason where there is none."""
    if validation is None:
        return "there is no validation split to choose a limit on"
    there = validation.present.any(axis=1)
    kept = ({name: said[there] for name, said in validation.answers.items()}, {n: v[there] for n, v in validation.embeddings.items()})
    try:
        return novelty.limit(measure(*kept), FALSE_ALARMS)
    except ValueError as error:
        return str(error)


def _figures(usual, found, limit, of, groups, resamples, seed):
    """AUROC, FPR at 95 % TPR and the share above the limit, of strange rows that were made of some of the clean ones, or of none."""
    if of is not None:
        own = None if groups is None else groups[of]
        return [*scores.apart(usual[of], found, own, resamples, seed), _caught(found, limit, own, resamples, seed)]
    told = novelty.separation(usual, found, False, resamples, seed).figures
    pairs = ((told["auroc"], scores.AUROC), (told["fpr_at_95_tpr"], scores.FPR))
    figures = [Figure(each.value, len(found), unit, each.low, each.high) for each, unit in pairs]
    return [*figures, _caught(found, limit, None, resamples, seed)]


def _caught(found, limit, groups, resamples, seed):
    if isinstance(limit, str):
        return Figure(None, len(found), "share of rows", reason=limit)
    return scores.share(
        found > limit, "share of rows", groups if groups is not None and len(groups) == len(found) else None, resamples, seed
    )


def _clean_alarms(usual, limits, groups, resamples, seed):
    rows = [
        [name, "none" if isinstance(limit, str) else f"{limit:.4g}", _caught(usual[name], limit, groups, resamples, seed)]
        for name, limit in limits.items()
    ]
    title = f"Limits of validation rows at a false-alarm rate of {FALSE_ALARMS:.0%}, on clean rows of this split"
    return Table(title, _columns(("score", "limit"), ("false alarms",)), rows)


def _where_from(examined, sources) -> list[Block]:
    """Whose own embedding is furthest beyond its limit, by replaced input; `sources` holds rows and embeddings by replaced input."""
    own = matched.members(examined.config)
    judges = {name: judge for name in own if (judge := _own_score(examined, name)) is not None}
    replaced = [name for name in sources if any(name in own[vector] for vector in judges)]
    if len(judges) < 2 or not replaced:
        return []
    values = []
    for name in replaced:
        rows, embeddings = sources[name]
        there = matched.vectors_there(examined.present[rows], examined.config)
        times = [np.where(there[vector], judge(embeddings[vector]), -np.inf) for vector, judge in judges.items()]
        values.append(np.bincount(np.argmax(times, axis=0), minlength=len(judges)).tolist())
    title = "Where the strangeness comes from: which input's own embedding is furthest beyond its limit"
    return [HeatMap(title, replaced, list(judges), values, "replaced input", "strangest input", "rows", by_row=True)]


def _own_score(examined, name):
    """How many times its limit an input's own distance is, as a function of its embedding; None where that cannot be had."""
    validation = examined.validation
    fitted = scores.fitted(examined, name)
    if validation is None or not fitted:
        return None
    score = next(iter(fitted.values()))
    there = matched.vectors_there(validation.present, examined.config)[name]
    usual = score(validation.embeddings[name][there]) if there.any() else np.zeros(0)
    middle = float(np.quantile(usual, 1 - FALSE_ALARMS)) if len(usual) else 0.0
    return (lambda vectors: score(vectors) / middle) if middle > 0 else None


def _of_nothing(examined, measure, limit, name):
    """What a row without any input scores."""
    raw = {key: _missing(cells[:1]) for key, cells in examined.raw.items()}
    found = float(measure(examined.answer(raw), examined.embed(raw) if examined.embeddings else {})[0])
    side = "" if isinstance(limit, str) else f", {'above' if found > limit else 'below'} the limit of {limit:.4g}"
    return Note(f"A row without any input scores {found:.4g} by {name}{side}. An exported model with a guard has it reviewed in any case.")


def _missing(cells):
    cells = cells.copy()
    cells[:] = np.nan if np.issubdtype(cells.dtype, np.floating) else b""
    return cells


def _columns(texts, numbers):
    return [*(Column(name) for name in texts), *(Column(name, "number") for name in numbers)]


def _sentences(score, areas):
    kinds = areas[score]
    worst, best = (choose(kinds, key=lambda kind: kinds[kind].value) for choose in (min, max))
    said = f"Of strange rows, by {score}, «{best}» is noticed best, with an AUROC of {scores.in_words(kinds[best])}, «{worst}» least, with "
    means = {name: float(np.mean([figure.value for figure in found.values()])) for name, found in areas.items()}
    first = max(means, key=lambda name: means[name])
    notice = f"Over these kinds of strange rows {first} notices most: its mean AUROC is {means[first]:.3f}"
    others = ", ".join(f"{name} {mean:.3f}" for name, mean in means.items() if name != first)
    return (f"{said}{scores.in_words(kinds[worst])}.", f"{notice} ({others})." if others else f"{notice}.")


def _note(text):
    return Told(Section(TITLE, _READING, [Note(text)]), ())
