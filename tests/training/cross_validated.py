"""A table of shops, the configuration of a cross-validation of it, and metrics of its folds."""

import numpy as np
import pandas as pd

from multimodal_tf.config import (
    CategoryInput,
    ClassificationHead,
    Config,
    NumberInput,
    RegressionHead,
    Split,
    Training,
)
from multimodal_tf.evaluation.cv_metrics import cross_validation_metrics

ROWS = 72
CONFIG = Config(
    inputs={"price": NumberInput(), "colour": CategoryInput()},
    heads={"label": ClassificationHead(), "age": RegressionHead()},
    fusion={"hidden": [4]},
    split=Split(group="shop", stratify="label"),
    training=Training(epochs=1, batch_size=16, optimizer="sgd"),
    seed=5,
)
# another configuration and seed
OTHER = CONFIG.model_copy(update={"inputs": {"price": NumberInput()}, "seed": 9})


def frame():
    """24 shops of three rows each; two classes, 1 in 3; a unique colour per row; missing labels."""
    random = np.random.default_rng(0)
    rare = np.arange(ROWS) % 3 == 0
    table = pd.DataFrame(
        {
            "price": rare * 2 + random.normal(size=ROWS),
            "colour": [f"colour {row}" for row in range(ROWS)],
            "label": np.where(rare, "rare", "common"),
            "age": rare * 10 + random.normal(size=ROWS),
            "shop": [f"shop {row % 24}" for row in range(ROWS)],
        }
    )
    table.loc[[4, 40], "label"] = None
    return table


def fold_scores(predictions, head, metric):
    """A metric on each held-out fold, `(repeats, folds)`."""
    found = cross_validation_metrics(predictions).heads[head].metrics[metric]
    return np.array(found.scores, dtype=float)
