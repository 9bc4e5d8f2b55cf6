"""The trials of a search as a table and as plots."""

import contextlib
import math
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import permutation_importance

from multimodal_tf.config.json_files import read_object
from multimodal_tf.config.search_space import Choice, Field, Float, Int, Space
from multimodal_tf.training.tune import outcome
from multimodal_tf.training.tune.outcome import Outcome

# completed trials that are needed for importances
_FEWEST = 8
# columns of the table of trials before those of the fields, with their types
_COLUMNS: dict[str, type] = {
    "trial": int,
    "status": object,
    "objective": float,
    "std": float,
    "epochs": int,
    "seconds": float,
    "parameters": int,
    "reason": object,
}


def ended_trials(project: pathlib.Path) -> tuple[int, list[float]]:
    """The number of ended trials, and the objectives of the completed ones."""
    states = [state for _, state in _trials(project)]
    objectives = [state["score"] for state in states if state["status"] == "COMPLETED"]
    return len(objectives) + sum(state["status"] == "FAILED" for state in states), objectives


def running_trials(project: pathlib.Path) -> int:
    """The number of trials that have begun and not ended."""
    return sum(state["status"] not in ("COMPLETED", "FAILED") for _, state in _trials(project))


def best(table: pd.DataFrame, direction: str) -> pd.Series | None:
    """The row of the best completed trial; None if there is none."""
    completed = table[table["status"] == "completed"].sort_values(
        "objective", ascending=direction == "min", kind="stable"
    )
    return None if completed.empty else completed.iloc[0]


def trials_table(
    project: pathlib.Path, out: pathlib.Path, space: Space, objective: str
) -> pd.DataFrame:
    """All trials in the order of their numbers.

    Args:
        project: folder of Keras Tuner's files.
        out: as passed to `SearchModel`.
        space: `Space`.
        objective: Keras' name of the metric.

    Returns:
        A row for each trial: `trial`, `status` (completed, diverged, refused, failed, running),
        `objective`, `std` (over folds), `epochs`, `seconds`, `parameters`, `reason`, and a column
        for each field of the space, empty if the field is inactive.
    """
    fields = [field.name for field in space.fields()]
    rows = []
    for number, state in _trials(project):
        values = state["hyperparameters"]["values"]
        known = outcome.load(out, outcome.key_of(values)) or Outcome(
            status="failed", reason=state["message"] or ""
        )
        ended = state["status"] in ("COMPLETED", "FAILED")
        rows.append(
            {
                "trial": number,
                "status": known.status if ended else "running",
                "objective": state["score"] if state["status"] == "COMPLETED" else math.nan,
                "std": known.std.get(objective, math.nan),
                **known.model_dump(include={"epochs", "seconds", "parameters", "reason"}),
                **{field: values.get(field) for field in fields},
            }
        )
    # the fields stay objects: pandas would write 8 as 8.0 if another row has no value
    table = pd.DataFrame(rows, columns=[*_COLUMNS, *fields], dtype=object)
    return table.sort_values("trial", ignore_index=True).astype(_COLUMNS)


def trial_values(project: pathlib.Path, trial: int) -> dict[str, Any]:
    """The values of a trial, by field."""
    values: dict[str, Any] = next(
        state["hyperparameters"]["values"] for number, state in _trials(project) if number == trial
    )
    return values


def _trials(project: pathlib.Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for path in sorted(project.glob("trial_*/trial.json")):
        # an incomplete trial of a killed search is removed before the search resumes
        with contextlib.suppress(FileNotFoundError):
            number = int(path.parent.name.removeprefix("trial_"))
            yield number, read_object(path, "a trial of Keras Tuner")


def field_importance(table: pd.DataFrame, space: Space, seed: int = 0) -> pd.DataFrame | None:
    """Permutation importance of the fields for a random forest that predicts the objective.

    Returns:
        `mean` and `std` (over 20 permutations) by field, in units of R², most important first; None
        for fewer than eight completed trials or equal objectives.

    Source: Breiman 2001, "Random Forests", section 10.
    """
    completed = table[table["status"] == "completed"]
    if len(completed) < _FEWEST or completed["objective"].nunique() < 2:
        return None
    fields = space.fields()
    x = np.stack([_to_numbers(completed[field.name], field) for field in fields], axis=1)
    y = completed["objective"]
    forest = RandomForestRegressor(200, random_state=seed).fit(x, y)
    found = permutation_importance(forest, x, y, n_repeats=20, random_state=seed)
    importance = {"mean": found.importances_mean, "std": found.importances_std}
    names = [field.name for field in fields]
    return pd.DataFrame(importance, index=names).sort_values("mean", ascending=False)


def _to_numbers(values: pd.Series, field: Field) -> np.ndarray:
    """Values as numbers: the index of a label among the options; -1 if the field is inactive."""
    if isinstance(field.domain, Choice) and isinstance(field.domain.labels[0], str):
        labels = field.domain.labels
        return np.array(
            [labels.index(one) if isinstance(one, str) else -1 for one in values], float
        )
    return pd.to_numeric(values).fillna(-1).to_numpy(float)


def plot_objective(table: pd.DataFrame, name: str, direction: str) -> Figure:
    """The objective of each trial, the best so far, and the failed trials."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    completed = table[table["status"] == "completed"]
    trial, objective, std = (completed[name] for name in ("trial", "objective", "std"))
    errors = std.fillna(0)
    axes.errorbar(
        trial, objective, yerr=errors if errors.any() else None, fmt="o", label="completed"
    )
    so_far = objective.cummax() if direction == "max" else objective.cummin()
    axes.plot(trial, so_far, drawstyle="steps-post", label="best so far")
    for status, marker in (("diverged", "^"), ("refused", "s"), ("failed", "x")):
        rows = table[table["status"] == status]
        if len(rows):
            bottom = axes.get_xaxis_transform()
            zeros = np.zeros(len(rows))
            axes.plot(rows["trial"], zeros, marker, transform=bottom, clip_on=False, label=status)
    axes.set(xlabel="trial", ylabel=name)
    axes.legend()
    return figure


def plot_fields(table: pd.DataFrame, space: Space, name: str) -> Figure:
    """The objective against each field, for the trials in which it is active."""
    fields = space.fields()
    columns = min(3, len(fields))
    rows = -(-len(fields) // columns)
    figure = Figure(figsize=(4 * columns, 3 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).flatten()
    completed = table[table["status"] == "completed"]
    for axes, field in zip(grid, fields):
        active = completed[completed[field.name].notna()]
        x = _to_positions(axes, field.domain, list(active[field.name]))
        axes.plot(x, active["objective"], "o")
        axes.set(xlabel=field.name, ylabel=name)
    for axes in grid[len(fields) :]:
        axes.set_axis_off()
    return figure


def _to_positions(axes: Axes, domain: Choice | Int | Float, values: Sequence[Any]) -> Sequence[Any]:
    """Positions of values on the x axis, which is set up for the field."""
    if isinstance(domain, Choice):
        labels = [str(label)[:24] for label in domain.labels]
        axes.set_xticks(range(len(labels)), labels, rotation=20)
        axes.set_xlim(-0.5, len(labels) - 0.5)
        return [domain.labels.index(value) for value in values]
    if domain.sampling != "linear":
        axes.set_xscale("log")
    return values


def plot_importance(importance: pd.DataFrame) -> Figure:
    """The result of `field_importance` as bars."""
    figure = Figure(figsize=(7, 1 + 0.35 * len(importance)), layout="constrained")
    axes = figure.subplots()
    reverse = importance[::-1]
    axes.barh(reverse.index, reverse["mean"], xerr=reverse["std"])
    axes.set(xlabel="loss of R² when permuted")
    return figure
