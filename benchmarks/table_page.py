"""The page of `benchmarks.tables`, in Markdown."""

import statistics

import pandas

from benchmarks.table_scores import BOUNDS, DIFFERENCES, METRICS, TITLES, scored
from benchmarks.table_sources import SOURCES
from benchmarks.table_sources.source import LABEL


def page(results, frames, absent):
    """What each column reaches, the seconds of each, and where ours is below.

    Args:
        results: list of results, as `tables.result`.
        frames: by table its rows.
        absent: by table that could not be made, why.
    """
    tables = [*dict.fromkeys(one["table"] for one in results)]
    columns = [name for name in TITLES if any(one["column"] == name for one in results)]
    found = {name: scored([one for one in results if one["table"] == name]) for name in tables}
    parts = [
        described(tables, frames),
        scores(found, columns, results),
        seconds(results, tables, columns),
        below(found),
        "\n".join(f"{name} is left out: {why}." for name, why in absent.items()),
    ]
    return "\n\n".join(part for part in parts if part)


def described(tables, frames):
    lines = [header(["table", "a row, and what is predicted", "rows", "classes", "metric"])]
    for name in tables:
        source, frame = SOURCES[name], frames[name]
        numeric = source.metric == "r2"
        classes = "" if numeric else str(pandas.Series(frame[LABEL]).explode().nunique())
        lines.append(row([name, source.what, f"{len(frame):,}", classes, METRICS[source.metric]]))
    return "\n".join(lines)


def scores(found, columns, results):
    """Means over the seeds, with each seed, and differences with their intervals."""
    pairs = [pair for pair in DIFFERENCES if {*pair} <= {*columns}]
    titles = [TITLES[name] for name in columns]
    titles += [f"{TITLES[ours]} minus {TITLES[theirs]}" for ours, theirs in pairs]
    lines = [header(["table", *titles])]
    for name, (by_seed, metrics) in found.items():
        cells = [
            f"{metrics[column].value:.3f} ({' '.join(f'{one:.3f}' for one in by_seed[column])})"
            if column in by_seed
            else ""
            for column in columns
        ]
        cells += [difference(metrics[pair]) if pair in metrics else "" for pair in pairs]
        lines.append(row([name, *cells]))
    return "\n".join(lines)


def difference(metric):
    return f"{metric.value:+.3f} ({metric.low:+.3f} .. {metric.high:+.3f})"


def seconds(results, tables, columns):
    lines = [header(["seconds, median over the seeds", *(TITLES[name] for name in columns)])]
    for name in tables:
        spent = [
            [one["seconds"] for one in results if (one["table"], one["column"]) == (name, column)]
            for column in columns
        ]
        medians = [f"{statistics.median(one):.1f}" if one else "" for one in spent]
        lines.append(row([name, *medians]))
    return "\n".join(lines)


def below(found):
    """A sentence for each column of ours."""
    sentences = []
    for ours, theirs in BOUNDS:
        pairs = {name: metrics.get((ours, theirs)) for name, (_, metrics) in found.items()}
        known = {name: one.value for name, one in pairs.items() if one is not None}
        lower = [f"{name} ({value:+.3f})" for name, value in known.items() if value < 0]
        if known:
            where = f"{len(lower)} of {len(known)} tables: {', '.join(lower) or 'none'}"
            sentences.append(f"{TITLES[ours].capitalize()} is below {TITLES[theirs]} on {where}.")
    return "\n".join(sentences)


def header(cells):
    return f"{row(cells)}\n{'|---' * len(cells)}|"


def row(cells):
    return f"| {' | '.join(cells)} |"
