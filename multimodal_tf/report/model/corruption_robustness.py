"""What damage to the cells does to the model: every corruption of every input at five severities,
and all inputs at once.
"""

import concurrent.futures
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import tensorflow as tf

from multimodal_tf.corruptions import SEVERITIES, Corruption, columns, corrupted, corruptions_for
from multimodal_tf.evaluation import ood_samples
from multimodal_tf.evaluation.eval_split import EvalSplit, Told, drawn
from multimodal_tf.evaluation.predictor import Predictor
from multimodal_tf.evaluation.row_scores import ERROR, unit_of, values
from multimodal_tf.metrics import robustness
from multimodal_tf.metrics.clustered import group_codes, weighted_metrics
from multimodal_tf.report.model.contributions import page_figure
from multimodal_tf.report.page import Block, Column, Line, Lines, Note, Section, Table

TITLE = "What breaks it"
EVERYTHING = "all inputs"
_TOGETHER = "one corruption each"
# sounds that babble is made of
_POOL = 64
# tables of cells that are damaged while the model runs
_AHEAD = 2
_READING = (
    "Cells were damaged as bytes, at five severities from mild (1) to strong (5), and went the way of all cells; severity 0 is the clean "
    "row. What is drawn depends on the seed and the row alone."
)


@dataclasses.dataclass(frozen=True)
class Damage:
    """How good the answers to damaged rows are: by input and corruption float `(rows, severities)`,
    and `clean` `(rows,)`, of `n` rows with labels; `strengths` says by input and corruption what
    the severities mean."""

    clean: np.ndarray
    found: Mapping[str, Mapping[str, np.ndarray]]
    codes: np.ndarray
    strengths: Mapping[tuple[str, str], str]

    @property
    def runs(self) -> int:
        """Rows that the model was given."""
        return sum(each.size for of in self.found.values() for each in of.values())


def damage_of(
    predictor: Predictor,
    eval_split: EvalSplit,
    features: Mapping[str, tf.Tensor],
    most: int | None,
    seed: int,
    step: Callable[[], None] = lambda: None,
) -> Damage:
    """Runs the model on damaged rows, of which it decodes the damaged cells only.

    Args:
        subject: `Predictor`.
        examined, features: what `examine` gave.
        most: int. So many rows with labels at most, drawn by `seed`; None: all.
        seed: int, of the damage.
        step: called after each corruption at each severity.
    """
    places = np.flatnonzero(eval_split.known)
    places = places[drawn(len(places), most, seed)]
    part, decoded = (
        _part(eval_split, places),
        {name: tf.gather(tensor, places) for name, tensor in features.items()},
    )
    kinds = kinds_of(eval_split)
    found: dict[str, dict[str, list]] = {}
    for name, kind, cells in _ahead(_damaged(part, kinds, seed)):
        found.setdefault(name, {}).setdefault(kind, []).append(
            values(part, predictor.predict_changed(decoded, cells))
        )
        step()
    arrays = {
        name: {kind: np.stack(each, axis=1) for kind, each in of.items()}
        for name, of in found.items()
    }
    codes = group_codes(part.groups, len(places))
    strengths = {
        (name, kind.name): f"{', '.join(map(str, kind.strengths))} {kind.unit}"
        for name, of in kinds.items()
        for kind in of
    }
    return Damage(values(part, part.predictions), arrays, codes, strengths)


def kinds_of(eval_split: EvalSplit) -> dict[str, tuple[Corruption, ...]]:
    """The corruptions of each input that is there in at least one row."""
    found = {}
    for place, (name, part) in enumerate(eval_split.config.inputs.items()):
        if eval_split.present[:, place].any():
            pool = (
                [cell for cell in eval_split.raw[name][:_POOL].tolist() if cell]
                if part.type == "audio"
                else ()
            )
            found[name] = corruptions_for(part, eval_split.schema.inputs.get(name), pool)
    return found


def count(kinds: Mapping[str, tuple[Corruption, ...]]) -> int:
    """How often `damage_of` calls `step`."""
    return len(SEVERITIES) * (sum(map(len, kinds.values())) + (len(kinds) > 1))


def _damaged(part, kinds, seed) -> Iterator[tuple[str, str, Callable[[], dict]]]:
    """Names of input and corruption, and a function that gives all rows' damaged cells by input, by
    severity.
    """
    for name, of in kinds.items():
        for kind in of:
            for severity in SEVERITIES:
                yield name, kind.name, functools.partial(_one, part, name, kind, severity, seed)
    if len(kinds) > 1:
        for severity in SEVERITIES:
            yield (
                EVERYTHING,
                _TOGETHER,
                functools.partial(_everything, part, list(kinds), severity, seed),
            )


def _one(part, name, kind, severity, seed):
    return {name: corrupted(part.raw[name], name, kind, severity, seed, part.rows)}


def _everything(part, names, severity, seed):
    """Each cell of each input damaged by one corruption that is drawn for it; none goes missing."""
    kinds = {
        name: ood_samples.damaged(part.config.inputs[name], part.schema.inputs.get(name))
        for name in names
    }
    return {
        name: corrupted(part.raw[name], name, kind, severity, seed, part.rows)
        for name, kind in kinds.items()
    }


def _ahead(tasks):
    """The tasks' outcomes in order, damaged in a thread while the model runs on those before."""
    with concurrent.futures.ThreadPoolExecutor(_AHEAD) as pool:
        waiting: list = []
        for name, kind, task in tasks:
            waiting.append((name, kind, pool.submit(task)))
            if len(waiting) > _AHEAD:
                name, kind, future = waiting.pop(0)
                yield name, kind, future.result()
        for name, kind, future in waiting:
            yield name, kind, future.result()


def _part(eval_split, places):
    """Some of the rows."""
    return dataclasses.replace(
        eval_split,
        rows=eval_split.rows[places],
        raw={name: cells[places] for name, cells in eval_split.raw.items()},
        present=eval_split.present[places],
        groups=None if eval_split.groups is None else eval_split.groups[places],
        labels=eval_split.labels[places],
        known=eval_split.known[places],
        predictions={name: answer[places] for name, answer in eval_split.predictions.items()},
        embeddings={name: vectors[places] for name, vectors in eval_split.embeddings.items()},
        table=None if eval_split.table is None else eval_split.table.iloc[places],
    )


def robustness_section(
    damage: Damage, eval_split: EvalSplit, resamples: int, seed: int, baseline: Damage | None = None
) -> Told:
    """The section about corruptions; with a baseline, the damage of another model on the same rows,
    also effective robustness.
    """
    unit = unit_of(eval_split.config, eval_split.head)
    n = len(damage.clean)
    means = _mean_figures(damage, resamples, seed)
    blocks: list[Block] = []
    for name, of in damage.found.items():
        lines = [
            Line(
                kind,
                (0, *SEVERITIES),
                [page_figure(means[key], n, unit) for key in _keys(name, kind)],
            )
            for kind in of
        ]
        blocks.append(
            Lines(
                f"{name}: {unit} by severity",
                "severity, 0 is clean",
                lines,
                span=None if unit == ERROR else (0, 1),
            )
        )
    blocks.append(Table("Corruptions", *_table(damage, means, n, unit)))
    if unit == ERROR:
        blocks.append(Note("Corruption errors are shares of errors, which numbers do not have."))
    else:
        blocks.insert(
            0, Table("Robustness by input", *_summaries(damage, n, resamples, seed, baseline))
        )
    known = int(eval_split.known.sum())
    if n < known:
        blocks.insert(
            0, Note(f"{n:,} of the {known:,} rows with a label were damaged; they were drawn.")
        )
    return Told(Section(TITLE, _READING, blocks), _first_broken(damage, unit, resamples, seed))


def _keys(name, kind):
    return ["clean", *((name, kind, severity) for severity in SEVERITIES)]


def _mean_figures(damage, resamples, seed):
    names: list = ["clean"]
    parts = [damage.clean[:, None]]
    for name, of in damage.found.items():
        for kind, each in of.items():
            names += [(name, kind, severity) for severity in SEVERITIES]
            parts.append(each)
    table = np.concatenate(parts, axis=1)

    def statistic(weights):
        return dict(zip(names, weights @ table / weights.sum()))

    return weighted_metrics(statistic, damage.codes, resamples, seed)


def _table(damage, means, n, unit):
    heads = [Column("input"), Column("corruption"), Column("strengths of severity 1 to 5")]
    heads += [Column(f"severity {severity}", "number") for severity in SEVERITIES]
    rows = []
    for name, of in damage.found.items():
        for kind in of:
            figures = [page_figure(means[key], n, unit) for key in _keys(name, kind)[1:]]
            rows.append([name, kind, damage.strengths.get((name, kind), ""), *figures])
    return heads, rows


def _summaries(damage, n, resamples, seed, baseline):
    """Mean corruption error and its relatives, by input, with intervals."""
    inputs = list(damage.found)
    arrays = {
        name: np.stack([damage.found[name][kind] for kind in damage.found[name]]) for name in inputs
    }
    others = None
    if baseline is not None:
        others = {
            name: np.stack([baseline.found[name][kind] for kind in damage.found[name]])
            for name in inputs
        }

    def statistic(weights):
        def mean(values):
            # rounding leaves 1 + 4e-16
            return np.clip(
                np.tensordot(weights, values, axes=(0, values.ndim - 2)) / weights.sum(), 0, 1
            )

        clean, figures = float(mean(damage.clean[:, None])[0]), {}
        for name in inputs:
            accuracy = mean(arrays[name])
            figures[name, "mean corruption error"] = float(
                robustness.mean_corruption_error(accuracy)
            )
            figures[name, "mean drop"] = float(
                robustness.relative_mean_corruption_error(clean, accuracy)
            )
            figures[name, "relative robustness"] = float(
                robustness.relative_robustness(clean, accuracy).mean()
            )
            if others is not None:
                other = (float(mean(baseline.clean[:, None])[0]), mean(others[name]))
                figures[name, "effective robustness"] = float(
                    robustness.effective_robustness(clean, accuracy, other).mean()
                )
        return figures

    found = weighted_metrics(statistic, damage.codes, resamples, seed)
    kinds = list(dict.fromkeys(kind for _, kind in found))
    units = {"mean corruption error": "share of errors", "mean drop": "drop of accuracy"}
    rows = [
        [
            name,
            *(
                page_figure(found[name, kind], n, units.get(kind, "area under accuracy"))
                for kind in kinds
            ),
        ]
        for name in inputs
    ]
    return [Column("input"), *(Column(kind, "number") for kind in kinds)], rows


def _first_broken(damage, unit, resamples, seed):
    """The corruption of one input that costs most in the mean over the severities; that a cell is
    missing is told by its share.
    """
    found = {
        (name, kind): each
        for name, of in damage.found.items()
        for kind, each in of.items()
        if name != EVERYTHING and kind != columns.MISSING.name
    }
    if not found:
        return ()
    (name, kind), each = min(found.items(), key=lambda item: item[1].mean())
    if each.mean() >= damage.clean.mean():
        return ("No corruption makes it worse in the mean over the severities.",)
    shown = {"clean": damage.clean, "mean": each.mean(axis=1), "strongest": each[:, -1]}
    figures = weighted_metrics(
        lambda weights: {what: weights @ of / weights.sum() for what, of in shown.items()},
        damage.codes,
        resamples,
        seed,
    )
    clean, mean, strongest = (page_figure(figure, len(each), unit) for figure in figures.values())
    return (
        f"What breaks it first is {kind.replace('_', ' ')} of {name}: from {clean.shown} {clean.interval} {unit} to {mean.shown} "
        f"{mean.interval} in the mean over five severities and {strongest.shown} {strongest.interval} at the strongest, n = {mean.n:,}.",
    )
