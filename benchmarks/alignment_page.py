"""The page of `benchmarks.alignment`, in Markdown."""

import numpy as np
import pandas

from benchmarks.accuracy_table import by_seed_and_drawn, interval

RECALLS = ("R@1", "R@5", "R@10")


def page(results, groups):
    """Two tables: retrieval in both directions, and zero-shot classes.

    Args:
        results: by column and seed, what `alignment.result` gives.
        groups: by row of the table its group of near-duplicates.
    """
    names = list(dict.fromkeys(name for name, _ in results))
    return "\n\n".join(part(results, names, groups) for part in (retrieval, zero_shot))


def retrieval(results, names, groups):
    heads = ["loss and frozen towers", "query", *RECALLS, "median rank", "mAP"]
    heads += ["best epoch", "CPU seconds"]
    lines = [f"| {' | '.join(heads)} |", "|---|---|" + "---|" * (len(heads) - 2)]
    for name in names:
        of_name = [one for (own, _), one in results.items() if own == name]
        first, *_ = of_name
        for query in first["retrieval"]:
            metrics = means(of_name, groups, lambda one, query=query: one["retrieval"][query])
            ranks = [np.median(one["retrieval"][query]["rank"]) for one in of_name]
            cells = [*(metrics[key] for key in RECALLS), f"{np.mean(ranks):.1f}", metrics["mAP"]]
            cells += [each(of_name, "best epoch"), each(of_name, "cpu seconds")]
            lines.append(f"| {name} | {query} | {' | '.join(cells)} |")
    return "\n".join(lines)


def zero_shot(results, names, groups):
    """Accuracies of columns that have zero-shot classes, and of what they are compared with."""
    lines = ["| classes of the test images | accuracy, mean (each seed), interval |", "|---|---|"]
    keys = {"most frequent": "the most frequent class", "nearest mean": "nearest class mean"}
    shown = {}
    for name in names:
        of_name = [one for (own, _), one in results.items() if own == name]
        shown.setdefault("an even draw", f"{np.mean([1 / one['classes'] for one in of_name]):.3f}")
        for key, title in keys.items():
            if all(key in one for one in of_name):
                shown.setdefault(title, accuracy(of_name, groups, key))
        if all("zero-shot" in one for one in of_name):
            shown[f"their names, {name}"] = accuracy(of_name, groups, "zero-shot")
    return "\n".join([*lines, *(f"| {title} | {cell} |" for title, cell in shown.items())])


def accuracy(of_name, groups, key):
    return means(of_name, groups, lambda one: {key: one[key]})[key]


def means(of_name, groups, columns):
    """By column its mean over the seeds, each seed, and the interval over groups."""
    frames = []
    for seed, one in enumerate(of_name):
        values = {key: np.asarray(of_rows, float) for key, of_rows in columns(one).items()}
        frame = pandas.DataFrame(values, index=pandas.Index(one["rows"], name="row"))
        frames.append(frame.assign(seed=seed, group=groups[one["rows"]]))
    seeds, drawn = by_seed_and_drawn(pandas.concat(frames))
    return {
        key: f"{seeds[key].mean():.3f} ({' '.join(f'{value:.3f}' for value in seeds[key])}), "
        f"{interval(drawn[key])}"
        for key in seeds
    }


def each(of_name, key):
    return " ".join(str(one[key]) for one in of_name)
