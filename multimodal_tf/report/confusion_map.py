"""Confusion matrices on pages."""

import numpy as np

from multimodal_tf.report.page import HeatMap

# classes of the heat map, at most
MAX_CLASSES = 30


def confusion_map(names: list[str], counts: np.ndarray) -> HeatMap:
    """The heat map of a confusion matrix; of many classes, those with the most errors.

    Args:
        names: of the classes.
        counts: int `(classes, classes)`, rows by true and predicted class.
    """
    title, chosen = "Confusion matrix", np.arange(len(names))
    if len(names) > MAX_CLASSES:
        wrong = counts.sum(axis=0) + counts.sum(axis=1) - 2 * np.diag(counts)
        chosen = np.sort(np.argsort(-wrong, kind="stable")[:MAX_CLASSES])
        title = f"Confusion matrix of the {MAX_CLASSES} of {len(names)} classes with most errors"
    shown = [names[index] for index in chosen]
    values = counts[np.ix_(chosen, chosen)].tolist()
    return HeatMap(
        title, shown, shown, values, "true class", "predicted class", "rows", by_row=True
    )
