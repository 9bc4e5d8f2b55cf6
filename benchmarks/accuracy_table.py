"""Tables of test accuracy, with intervals from bootstrapping groups of rows."""

import statistics

import numpy as np
import pandas

RESAMPLES = 10_000


def group_of_rows(table):
    """By row, the group that the bootstrap resamples: near-duplicates, or the row itself."""
    rows = pandas.concat(table.chunks())
    return rows["group"].to_numpy() if "group" in rows else np.arange(len(rows))


def markdown(hits, against, results, gain_over="scikit-learn's on the same input"):
    """Means over seeds, and intervals from bootstrapping groups of rows over all seeds."""
    seeds, means = by_seed_and_drawn(hits)
    heads = [
        "model",
        f"test accuracy, mean of {len(seeds)} seeds",
        "by seed",
        "95 % interval",
        f"minus {gain_over}",
    ]
    heads += ["95 % interval", "parameters", "CPU ms per step", "exported, MB", "epochs"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name in sorted(seeds, key=lambda name: name not in against):
        cells = [
            name if name in against else f"scikit-learn: {name}",
            *accuracy(name, seeds, means),
        ]
        cells += (
            gain(name, against[name], seeds, means) + costs(results[name])
            if name in against
            else [""] * 6
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def by_seed_and_drawn(hits):
    """Accuracies by name: one row per seed; and one row per bootstrap resample of groups."""
    names = [name for name in hits.columns if name not in ("seed", "group")]
    sums, sizes = (
        hits.groupby("group")[names].sum().to_numpy(float),
        hits.groupby("group").size().to_numpy(),
    )
    draws = np.random.default_rng(0).integers(len(sizes), size=(RESAMPLES, len(sizes)))
    means = pandas.DataFrame(
        [sums[draw].sum(axis=0) / sizes[draw].sum() for draw in draws], columns=names
    )
    return hits.groupby("seed")[names].mean(), means


def accuracy(name, seeds, means):
    return [
        f"{seeds[name].mean():.3f}",
        " ".join(f"{value:.3f}" for value in seeds[name]),
        interval(means[name]),
    ]


def gain(name, baseline, seeds, means):
    return [
        f"{seeds[name].mean() - seeds[baseline].mean():+.3f}",
        interval(means[name] - means[baseline]),
    ]


def costs(results):
    milliseconds = statistics.median(result.milliseconds for result in results)
    exported = next((f"{result.exported / 1e6:.1f}" for result in results if result.exported), "")
    return [f"{results[0].parameters:,}", f"{milliseconds:.1f}", exported, str(results[0].epochs)]


def interval(samples):
    low, high = np.quantile(samples, [0.025, 0.975])
    return f"{low:.3f} .. {high:.3f}"
