"""What damage to the cells does to the model: every corruption of every input at five severities, and all inputs at once."""

import concurrent.futures
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from multimodal_tf.evaluation import robustness
from multimodal_tf.evaluation.corruptions import SEVERITIES, Corruption, corrupted, corruptions_for
from multimodal_tf.evaluation.groups import group_codes, weighted_figures
from multimodal_tf.evaluation.page import Block, Column, Line, Lines, Note, Section, Table
from multimodal_tf.evaluation.perception.examined import Examined, Told
from multimodal_tf.evaluation.perception.inputs import page_figure
from multimodal_tf.evaluation.perception.value import ERROR, unit_of, values

TITLE = "What breaks it"
EVERYTHING = "all inputs"
_TOGETHER = "one corruption each"
_POOL = 64  # sounds that babble is made of
_AHEAD = 2  # tables of cells that are damaged while the model runs
_READING = (
    "Cells were damaged as bytes, at five severities from mild (1) to strong (5), and went the way of all cells; severity 0 is the clean "
    "row. What is drawn depends on the seed and the row alone."
)


@dataclasses.dataclass(frozen=True)
class Damage:
    """How good the answers to damaged rows are: by input and corruption float `(rows, severities)`, and `clean` `(rows,)`, of `n` rows with
    labels; `strengths` says by corruption what the severities mean."""

    clean: np.ndarray
    found: Mapping[str, Mapping[str, np.ndarray]]
    codes: np.ndarray
    strengths: Mapping[str, str]

    @property
    def runs(self) -> int:
        """Rows that the model was given."""
        return sum(each.size for of in self.found.values() for each in of.values())


def damage_of(examined: Examined, most: int | None, seed: int, step: Callable[[], None] = lambda: None) -> Damage:
    """Runs the model on damaged rows.

    Args:
        examined: `Examined`.
        most: int. So many rows with labels at most, drawn by `seed`; None: all.
        seed: int, of the damage.
        step: called after each corruption at each severity.
    """
    places = np.flatnonzero(examined.known)
    if most is not None and len(places) > most:
        places = np.sort(np.random.default_rng(seed).choice(places, most, replace=False))
    part = _part(examined, places)
    kinds = kinds_of(part)
    found: dict[str, dict[str, list]] = {}
    for name, kind, raw in _ahead(_damaged(part, kinds, seed)):
        found.setdefault(name, {}).setdefault(kind, []).append(values(part, examined.answer(raw)))
        step()
    arrays = {name: {kind: np.stack(each, axis=1) for kind, each in of.items()} for name, of in found.items()}
    codes = group_codes(part.groups, len(places))
    strengths = {kind.name: f"{', '.join(map(str, kind.strengths))} {kind.unit}" for of in kinds.values() for kind in of}
    return Damage(values(part, part.answers), arrays, codes, strengths)


def kinds_of(examined: Examined) -> dict[str, tuple[Corruption, ...]]:
    """The corruptions of each input that is there in at least one row."""
    found = {}
    for place, (name, part) in enumerate(examined.config.inputs.items()):
        if examined.present[:, place].any():
            pool = [cell for cell in examined.raw[name][:_POOL].tolist() if cell] if part.type == "audio" else ()
            found[name] = corruptions_for(part, examined.schema.inputs.get(name), pool)
    return found


def count(kinds: Mapping[str, tuple[Corruption, ...]]) -> int:
    """How often `damage_of` calls `step`."""
    return len(SEVERITIES) * (sum(map(len, kinds.values())) + (len(kinds) > 1))


def _damaged(part, kinds, seed) -> Iterator[tuple[str, str, Callable[[], dict]]]:
    """Names of input and corruption, and a function that damages all rows' cells, by severity."""
    for name, of in kinds.items():
        for kind in of:
            for severity in SEVERITIES:
                yield name, kind.name, functools.partial(_one, part, name, kind, severity, seed)
    if len(kinds) > 1:
        for severity in SEVERITIES:
            yield EVERYTHING, _TOGETHER, functools.partial(_everything, part, kinds, severity, seed)


def _one(part, name, kind, severity, seed):
    return part.raw | {name: corrupted(part.raw[name], name, kind, severity, seed, part.rows)}


def _everything(part, kinds, severity, seed):
    """Each cell of each input damaged by one corruption, which the row's number decides; none goes missing."""
    raw = dict(part.raw)
    for name, of in kinds.items():
        chosen = [kind for kind in of if kind.name != "missing"] or list(of)
        turn = np.array([np.random.default_rng([seed, row]).integers(len(chosen)) for row in part.rows.tolist()])
        cells = raw[name]
        for number, kind in enumerate(chosen):
            rows = turn == number
            damaged = corrupted(cells[rows], name, kind, severity, seed, part.rows[rows])
            if damaged.ndim > 1 and damaged.shape[1] > cells.shape[1]:  # a GIF has more frames when each is a file
                cells = np.pad(cells, [(0, 0), (0, damaged.shape[1] - cells.shape[1])], constant_values=b"")
            cells = cells.copy()
            cells[rows] = b"" if damaged.ndim > 1 else damaged
            if damaged.ndim > 1:
                cells[rows, : damaged.shape[1]] = damaged
        raw[name] = cells
    return raw


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


def _part(examined, places):
    """Some of the rows."""
    return dataclasses.replace(
        examined,
        rows=examined.rows[places],
        raw={name: cells[places] for name, cells in examined.raw.items()},
        present=examined.present[places],
        groups=None if examined.groups is None else examined.groups[places],
        labels=examined.labels[places],
        known=examined.known[places],
        answers={name: answer[places] for name, answer in examined.answers.items()},
        embeddings={name: vectors[places] for name, vectors in examined.embeddings.items()},
        table=None if examined.table is None else examined.table.iloc[places],
    )


def damage_section(damage: Damage, examined: Examined, resamples: int, seed: int, baseline: Damage | None = None) -> Told:
    """The section about corruptions; with a baseline, the damage of another model on the same rows, also effective robustness."""
    unit = unit_of(examined.config, examined.head)
    n = len(damage.clean)
    means = _mean_figures(damage, resamples, seed)
    blocks: list[Block] = []
    for name, of in damage.found.items():
        lines = [Line(kind, (0, *SEVERITIES), [page_figure(means[key], n, unit) for key in _keys(name, kind)]) for kind in of]
        blocks.append(Lines(f"{name}: {unit} by severity", "severity, 0 is clean", lines, span=None if unit == ERROR else (0, 1)))
    blocks.append(Table("Corruptions", *_table(damage, means, n, unit)))
    if unit == ERROR:
        blocks.append(Note("Corruption errors are shares of errors, which numbers do not have."))
        return Told(Section(TITLE, _READING, blocks), _first_broken(damage, unit))
    blocks.insert(0, Table("Robustness by input", *_summaries(damage, n, resamples, seed, baseline)))
    return Told(Section(TITLE, _READING, blocks), _first_broken(damage, unit))


def _keys(name, kind):
    return ["clean", *((name, kind, severity) for severity in SEVERITIES)]


def _mean_figures(damage, resamples, seed):
    names: list = ["clean"]
    columns = [damage.clean[:, None]]
    for name, of in damage.found.items():
        for kind, each in of.items():
            names += [(name, kind, severity) for severity in SEVERITIES]
            columns.append(each)
    table = np.concatenate(columns, axis=1)

    def statistic(weights):
        return dict(zip(names, weights @ table / weights.sum()))

    return weighted_figures(statistic, damage.codes, resamples, seed)


def _table(damage, means, n, unit):
    columns = [Column("input"), Column("corruption"), Column("strengths of severity 1 to 5")]
    columns += [Column(f"severity {severity}", "number") for severity in SEVERITIES]
    rows = []
    for name, of in damage.found.items():
        for kind in of:
            figures = [page_figure(means[key], n, unit) for key in _keys(name, kind)[1:]]
            rows.append([name, kind, damage.strengths.get(kind, ""), *figures])
    return columns, rows


def _summaries(damage, n, resamples, seed, baseline):
    """Mean corruption error and its relatives, by input, with intervals."""
    inputs = list(damage.found)
    arrays = {name: np.stack([damage.found[name][kind] for kind in damage.found[name]]) for name in inputs}
    others = None
    if baseline is not None:
        others = {name: np.stack([baseline.found[name][kind] for kind in damage.found[name]]) for name in inputs}

    def statistic(weights):
        def mean(values):
            return np.clip(np.tensordot(weights, values, axes=(0, values.ndim - 2)) / weights.sum(), 0, 1)  # rounding leaves 1 + 4e-16

        clean, figures = float(mean(damage.clean[:, None])[0]), {}
        for name in inputs:
            accuracy = mean(arrays[name])
            figures[name, "mean corruption error"] = float(robustness.mean_corruption_error(accuracy))
            figures[name, "mean drop"] = float(robustness.relative_mean_corruption_error(clean, accuracy))
            figures[name, "relative robustness"] = float(robustness.relative_robustness(clean, accuracy).mean())
            if others is not None:
                other = (float(mean(baseline.clean[:, None])[0]), mean(others[name]))
                figures[name, "effective robustness"] = float(robustness.effective_robustness(clean, accuracy, other).mean())
        return figures

    found = weighted_figures(statistic, damage.codes, resamples, seed)
    kinds = list(dict.fromkeys(kind for _, kind in found))
    units = {"mean corruption error": "share of errors", "mean drop": "drop of accuracy"}
    rows = [[name, *(page_figure(found[name, kind], n, units.get(kind, "area under accuracy")) for kind in kinds)] for name in inputs]
    return [Column("input"), *(Column(kind, "number") for kind in kinds)], rows


def _first_broken(damage, unit):
    clean = float(damage.clean.mean())
    drops = {
        (name, kind): clean - float(each.mean())
        for name, of in damage.found.items()
        for kind, each in of.items()
        if name != EVERYTHING and kind != "missing"
    }
    if not drops:
        return ()
    (name, kind), drop = max(drops.items(), key=lambda item: item[1])
    if drop <= 0:
        return ("No corruption makes it worse in the mean over the severities.",)
    strongest = float(damage.found[name][kind][:, -1].mean())
    said = f"What breaks it first is {kind.replace('_', ' ')} of {name}: from {clean:.3f} to {clean - drop:.3f} {unit} in the mean over "
    return (said + f"five severities, {strongest:.3f} at the strongest (n = {len(damage.clean)}).",)
