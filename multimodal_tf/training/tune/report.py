"""The trials of a search as a table and as pictures."""

import contextlib
import json
import math
import pathlib

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import permutation_importance

from multimodal_tf.config.search_space import Choice, Space
from multimodal_tf.training.tune import outcome

# completed trials, for importances to mean anything
_FEWEST = 8


def ended(project: pathlib.Path) -> tuple[int, list[float]]:
    """How many trials have ended, well or not, and the objectives of those that ended well."""
    states = [state for _, state in _trials(project)]
    scores = [state["score"] for state in states if state["status"] == "COMPLETED"]
    return len(scores) + sum(state["status"] == "FAILED" for state in states), scores


def running(project: pathlib.Path) -> int:
    """How many trials have begun and not ended."""
    return sum(state["status"] not in ("COMPLETED", "FAILED") for _, state in _trials(project))


def best(table: pd.DataFrame, direction: str) -> pd.Series | None:
    """The row of the best completed trial; None where there is none."""
    done = table[table["status"] == "completed"].sort_values(
        "objective", ascending=direction == "min", kind="stable"
    )
    return None if done.empty else done.iloc[0]


def table_of(
    project: pathlib.Path, directory: pathlib.Path, space: Space, objective: str
) -> pd.DataFrame:
    """All trials in the order of their numbers.

    Args:
        project: where Keras Tuner's files are.
        directory: what `SearchModel` was given.
        space: `Space`.
        objective: the name of the figure, as the tuner has it.

    Returns:
        A row a trial: `trial`, `status` (completed, diverged, refused, failed, running),
        `objective`, `spread` (over folds), `epochs`, `seconds`, `parameters`, `reason`, and a
        column for each field of the space, empty where the field does not exist.
    """
    rows = []
    for name, state in _trials(project):
        values = state["hyperparameters"]["values"]
        known = outcome.load(directory, outcome.key(values)) or outcome.Outcome(
            status="failed", reason=state["message"] or ""
        )
        rows.append(
            {
                "trial": int(name),
                "status": known.status if state["status"] in ("COMPLETED", "FAILED") else "running",
                "objective": state["score"] if state["status"] == "COMPLETED" else math.nan,
                "spread": known.spread.get(objective, math.nan),
                **known.model_dump(include={"epochs", "seconds", "parameters", "reason"}),
                **{field.name: values.get(field.name) for field in space.fields()},
            }
        )
    fields = [field.name for field in space.fields()]
    columns = [
        "trial",
        "status",
        "objective",
        "spread",
        "epochs",
        "seconds",
        "parameters",
        "reason",
        *fields,
    ]
    table = pd.DataFrame(rows, columns=columns, dtype=object).sort_values(
        "trial", ignore_index=True
    )
    numbers = {
        "trial": int,
        "objective": float,
        "spread": float,
        "epochs": int,
        "seconds": float,
        "parameters": int,
    }
    # the fields' own values stay as they are: pandas would write 8 as 8.0 where another row has
    # none
    return table.astype(numbers)


def values_of(project: pathlib.Path, trial: int) -> dict:
    """What a trial drew, by field."""
    return next(
        state["hyperparameters"]["values"] for name, state in _trials(project) if int(name) == trial
    )


def _trials(project):
    for path in sorted(project.glob("trial_*/trial.json")):
        # one that a killed search left half is removed before it goes on
        with contextlib.suppress(FileNotFoundError):
            yield (
                path.parent.name.removeprefix("trial_"),
                json.loads(path.read_text(encoding="utf-8")),
            )


def importance(table: pd.DataFrame, space: Space, seed: int = 0) -> pd.DataFrame | None:
    """How much worse a random forest guesses the objective of completed trials when a field's
    values are shuffled.

    Returns:
        `mean` and `std` (over 20 shuffles) by field, in units of R², most important first; None for
        fewer than eight completed trials or objectives that are all the same.

    Source: Breiman 2001, «Random Forests», section 10.
    """
    done = table[table["status"] == "completed"]
    if len(done) < _FEWEST or done["objective"].nunique() < 2:
        return None
    fields = space.fields()
    x = np.stack([_coded(done[field.name], field.part) for field in fields], axis=1)
    forest = RandomForestRegressor(200, random_state=seed).fit(x, done["objective"])
    found = permutation_importance(forest, x, done["objective"], n_repeats=20, random_state=seed)
    names = [field.name for field in fields]
    return pd.DataFrame(
        {"mean": found.importances_mean, "std": found.importances_std}, index=names
    ).sort_values("mean", ascending=False)


def _coded(values, part):
    """Values as numbers: a label's place among the options; -1 where the field does not exist."""
    if isinstance(part, Choice) and isinstance(part.labels[0], str):
        return np.array(
            [part.labels.index(one) if isinstance(one, str) else -1 for one in values], float
        )
    return pd.to_numeric(values).fillna(-1).to_numpy(float)


def draw_objective(table: pd.DataFrame, name: str, direction: str) -> Figure:
    """The objective over trials, the best so far, and which trials failed."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    done = table[table["status"] == "completed"]
    spread = done["spread"].fillna(0)
    axes.errorbar(
        done["trial"],
        done["objective"],
        yerr=spread if spread.any() else None,
        fmt="o",
        label="completed",
    )
    best_so_far = done["objective"].cummax() if direction == "max" else done["objective"].cummin()
    axes.plot(done["trial"], best_so_far, drawstyle="steps-post", label="best so far")
    for status, mark in (("diverged", "^"), ("refused", "s"), ("failed", "x")):
        rows = table[table["status"] == status]
        if len(rows):
            axes.plot(
                rows["trial"],
                np.zeros(len(rows)),
                mark,
                transform=axes.get_xaxis_transform(),
                clip_on=False,
                label=status,
            )
    axes.set(xlabel="trial", ylabel=name)
    axes.legend()
    return figure


def draw_fields(table: pd.DataFrame, space: Space, name: str) -> Figure:
    """Each field against the objective, trials where it exists."""
    fields = space.fields()
    columns = min(3, len(fields))
    rows = -(-len(fields) // columns)
    figure = Figure(figsize=(4 * columns, 3 * rows), layout="constrained")
    places = figure.subplots(rows, columns, squeeze=False).flatten()
    done = table[table["status"] == "completed"]
    for axes, field in zip(places, fields):
        there = done[done[field.name].notna()]
        x = list(there[field.name])
        if isinstance(field.part, Choice):
            axes.set_xticks(
                range(len(field.part.labels)),
                [str(label)[:24] for label in field.part.labels],
                rotation=20,
            )
            axes.set_xlim(-0.5, len(field.part.labels) - 0.5)
            x = [field.part.labels.index(one) for one in x]
        elif field.part.sampling != "linear":
            axes.set_xscale("log")
        axes.plot(x, there["objective"], "o")
        axes.set(xlabel=field.name, ylabel=name)
    for axes in places[len(fields) :]:
        axes.set_axis_off()
    return figure


def draw_importance(found: pd.DataFrame) -> Figure:
    """What `importance` gives, as bars."""
    figure = Figure(figsize=(7, 1 + 0.35 * len(found)), layout="constrained")
    axes = figure.subplots()
    axes.barh(found.index[::-1], found["mean"][::-1], xerr=found["std"][::-1])
    axes.set(xlabel="loss of R² when shuffled")
    return figure
