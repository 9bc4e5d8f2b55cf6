"""Do the inputs of a row belong together? One input's cells are exchanged for other rows', and
scores say which rows these are.
"""

from collections.abc import Callable

import numpy as np

from multimodal_tf.config.heads import comparing
from multimodal_tf.evaluation import alignment, matching, ood_scores
from multimodal_tf.evaluation.eval_split import EvalSplit, Told
from multimodal_tf.metrics.clustered import group_codes
from multimodal_tf.report.page import Bars, Block, Column, Figure, Note, Section, Table

TITLE = "Do the inputs belong together?"
# the rate at which limits are chosen
FALSE_ALARMS = 0.05
# that are exchanged for each input
MOST_ROWS = 2000
CONSISTENCY, RAW = "consistency of matching heads", "raw embedding distance"
_NONE_ALIGNS = "No head of this model aligns inputs (type: matching), so it has no score of consistency. The scores below are what can be had instead."


def alignment_section(eval_split: EvalSplit, resamples: int, seed: int) -> Told:
    """How well a model tells rows in which one input is another row's from the right ones, by the
    input that is exchanged.

    The score is the mean cosine between the vectors that matching heads compare; beside it the
    baselines: maximum softmax probability, the distance between the towers' own vectors, and how
    strange the fused vector is. Cells are exchanged between rows of different classes where the
    head chooses one, and of different groups. Limits are those of validation rows, at a false-alarm
    rate of 5 %.

    Args:
        examined: `EvalSplit`.
        resamples: int. For the intervals, which draw a row and its mismatch together, groups as a
        whole; 0: no intervals.
        seed: int, of the exchanges and intervals.

    Returns:
        `Told`; its section is one Note where there are fewer than two rows with two inputs.
    """
    own = eval_split.config.vector_inputs()
    if len(own) < 2:
        return _note(
            f"The model has one input, {next(iter(own))}: there is nothing that it could belong to."
        )
    measures = _measures(eval_split)
    tried = {
        name: found for name in own if (found := _exchange(eval_split, name, own, seed)) is not None
    }
    if not tried or not measures:
        return _note(
            "A mismatch needs two rows that have an input beside another, and a score of consistency, of classes or of embeddings."
        )
    limit = _limit(eval_split)
    table: list[list] = []
    main: dict[str, dict[str, Figure]] = {}
    for name, (rows, clean, wrong) in tried.items():
        for label, measure in measures.items():
            line = _line(eval_split, rows, measure(*clean), measure(*wrong), resamples, seed)
            if line is not None:
                table.append([name, label, *line])
                main.setdefault(label, {})[name] = line[0]
    first = next(iter(main), None)
    if first is None:
        return _note("No score is defined on the rows that have two inputs.")
    blocks: list[Block] = []
    if not comparing(eval_split.config.heads):
        blocks.append(Note(_NONE_ALIGNS))
    blocks.append(Bars(f"Right rows from exchanged ones by {first}", main[first]))
    kinds = [
        Column("exchanged input"),
        Column("score"),
        Column("AUROC", "number"),
        Column("FPR at 95 % TPR", "number"),
    ]
    blocks.append(Table("Exchanged inputs by score", kinds, table))
    blocks += _alarms(eval_split, tried, limit, resamples, seed)
    return Told(Section(TITLE, _how(eval_split), blocks), _sentences(first, main[first]))


def _how(eval_split):
    kinds = ["classes"] * ood_scores.chooses(eval_split) + ["groups"] * (
        eval_split.groups is not None
    )
    between = (
        f" of other {' and '.join(kinds)} (where one has more than half of the rows, of any)"
        if kinds
        else ""
    )
    return (
        f"One input's cells were exchanged with those of rows{between}, and the model ran on these rows. AUROC is the chance that a row "
        "with an exchanged cell looks worse than a right one: 0.5 is guessing."
    )


def _exchange(eval_split, name, own, seed):
    """`(rows, (answers, embeddings, present) of the right rows, the same of the mismatches)`; None
    without two rows that can take part.
    """
    there = matching.vectors_present(eval_split.present, eval_split.config)
    beside = np.sum([there[other] for other in own if other != name], axis=0) >= 1
    rows = np.flatnonzero(there[name] & beside)
    if len(rows) > MOST_ROWS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MOST_ROWS, replace=False))
    if len(rows) < 2:
        return None
    source = rows[_source(eval_split, rows, seed)]
    # of another class, but perhaps a near-duplicate
    if eval_split.groups is not None:
        kept = eval_split.groups[source] != eval_split.groups[rows]
        rows, source = rows[kept], source[kept]
    if not len(rows):
        return None
    raw = {
        key: cells[source if key in own[name] else rows] for key, cells in eval_split.raw.items()
    }
    present = eval_split.present[rows].copy()
    changed = [place for place, key in enumerate(eval_split.config.inputs) if key in own[name]]
    present[:, changed] = eval_split.present[source][:, changed]
    right = (
        {head: said[rows] for head, said in eval_split.predictions.items()},
        {key: v[rows] for key, v in eval_split.embeddings.items()},
    )
    return (
        rows,
        (*right, eval_split.present[rows]),
        (eval_split.predict(raw), eval_split.embed(raw) if eval_split.embeddings else {}, present),
    )


def _source(eval_split, rows, seed):
    """Places in `rows` from which cells come: of another class, else of another group, else of
    another row.
    """
    classes = ood_scores.classes_of(eval_split)
    # NaN: like no other row
    kinds = [] if classes is None else [np.where(classes >= 0, classes, np.nan)]
    kinds += [] if eval_split.groups is None else [eval_split.groups]
    for kind in kinds:
        codes = group_codes(kind[rows], len(rows))
        if 2 * np.bincount(codes).max() <= len(rows):
            return alignment.exchanged(len(rows), codes, seed)
    return alignment.exchanged(len(rows), None, seed)


def _measures(eval_split):
    """By name: functions of answers, embeddings and presence, float `(rows,)`, higher where the
    inputs agree less; NaN: unknown.
    """
    found: dict[str, Callable] = {}
    if comparing(eval_split.config.heads):
        found[CONSISTENCY] = lambda answers, embeddings, present: (
            -matching.aligned(answers, present, eval_split.config).agreement
        )
    for name, score in ood_scores.ood_scores_of(eval_split).items():
        if name in (ood_scores.SOFTMAX, ood_scores.MAHALANOBIS):
            found[name] = lambda answers, embeddings, present, score=score: score(
                answers, embeddings
            )
    if _comparable(eval_split):
        found[RAW] = lambda answers, embeddings, present: _raw_distance(
            eval_split, embeddings, present
        )
    return found


def _comparable(eval_split):
    """The towers' own vectors of the width that most of them share, if two do."""
    names = [name for name in eval_split.config.vectors() if name in eval_split.embeddings]
    widths = [eval_split.embeddings[name].shape[1] for name in names]
    most = max(widths, key=widths.count, default=0)
    chosen = [name for name, width in zip(names, widths) if width == most]
    return chosen if len(chosen) > 1 else []


def _raw_distance(eval_split, embeddings, present):
    names = _comparable(eval_split)
    there = matching.vectors_present(present, eval_split.config)
    vectors = np.stack([embeddings[name] for name in names], axis=1)
    return 1 - alignment.agreement(vectors, np.stack([there[name] for name in names], axis=1))


def _line(eval_split, rows, clean, wrong, resamples, seed):
    """AUROC and FPR, on the rows in which the score is known both times; None where there is none."""
    known = ~(np.isnan(clean) | np.isnan(wrong))
    groups = None if eval_split.groups is None else eval_split.groups[rows][known]
    return (
        ood_scores.apart(clean[known], wrong[known], groups, resamples, seed)
        if known.any()
        else None
    )


def _limit(eval_split):
    """The least consistency that is no alarm, of validation rows; a reason where there is none."""
    validation = eval_split.validation
    if validation is None:
        return "there is no validation split to choose a threshold on"
    found = matching.aligned(validation.predictions, validation.present, eval_split.config)
    right = found.agreement[~np.isnan(found.agreement)]
    try:
        return alignment.threshold(right, FALSE_ALARMS)
    except ValueError as error:
        return str(error)


def _alarms(eval_split, tried, limit, resamples, seed) -> list[Block]:
    """What the threshold finds, and whether the odd input is found, by exchanged input."""
    if not comparing(eval_split.config.heads):
        return []
    found = {
        name: (rows, *(matching.aligned(said[0], said[2], eval_split.config) for said in both))
        for name, (rows, *both) in tried.items()
    }
    table = []
    for name, (rows, right, wrong) in found.items():
        known = ~np.isnan(right.agreement) & ~np.isnan(wrong.agreement)
        groups = None if eval_split.groups is None else eval_split.groups[rows]
        table.append(
            [
                name,
                *_rates(right, wrong, known, groups, limit, resamples, seed),
                _odd(name, wrong, groups, resamples, seed),
            ]
        )
    chosen = (
        f"; the threshold {limit:.3f} is that of validation rows"
        if isinstance(limit, float)
        else ""
    )
    columns = [
        Column("exchanged input"),
        *(Column(kind, "number") for kind in ("detected", "false alarms", "odd one out found")),
    ]
    return [Table(f"At a false-alarm rate of {FALSE_ALARMS:.0%}{chosen}", columns, table)]


def _rates(right, wrong, known, groups, limit, resamples, seed):
    units = ("share of mismatches", "share of right rows")
    if isinstance(limit, str):
        return [Figure(None, int(known.sum()), unit, reason=limit) for unit in units]
    chosen = None if groups is None else groups[known]
    flags = [said.agreement[known] < limit for said in (wrong, right)]
    return [
        ood_scores.share(flag, unit, chosen, resamples, seed) for flag, unit in zip(flags, units)
    ]


def _odd(name, wrong, groups, resamples, seed):
    odd = wrong.odd_one_out()
    judged = odd >= 0
    unit = "share of mismatches"
    if not judged.any() or name not in wrong.names:
        return Figure(
            None, 0, unit, reason="no row has three inputs that are aligned with each other"
        )
    hit = odd[judged] == wrong.names.index(name)
    return ood_scores.share(hit, unit, None if groups is None else groups[judged], resamples, seed)


def _sentences(score, figures):
    known = {name: figure for name, figure in figures.items() if figure.value is not None}
    if not known:
        return ()
    worst, best = (choose(known, key=lambda name: known[name].value) for choose in (min, max))
    said = f"Another row's {best} is told from the right one by {score} with an AUROC of {ood_scores.in_words(known[best])}"
    return (
        said
        + (
            f", another row's {worst} with {ood_scores.in_words(known[worst])}."
            if worst != best
            else "."
        ),
    )


def _note(text):
    return Told(
        Section(
            TITLE, "Whether scores find rows in which one input is another row's.", [Note(text)]
        ),
        (),
    )
