"""The columns of `benchmarks.tables`: models that are fitted to a task and predict its test rows.

Each takes a `Task` and a `Work` and returns `(predictions, seconds)`, or None where it has nothing
to read. Predictions are class indices `(rows,)`, scores `(rows, labels)` or numbers `(rows,)`.
"""

import dataclasses
import pathlib
import time
import warnings

import numpy as np
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier

from benchmarks import features
from benchmarks.frozen_vectors import PRESETS, FrozenVectors
from benchmarks.linear import read_raw
from benchmarks.table_scores import score
from benchmarks.table_sources.source import LABEL
from multimodal_tf.config import Config
from multimodal_tf.data.describe.table_description import describe
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.data.table import read_table
from multimodal_tf.schema import Schema
from multimodal_tf.training.fit import fit

# `C` of the logistic regression, 1 / `alpha` of ridge regression
STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)
ITERATIONS = 500
# columns; beyond, dense features are made sparse, rather than sparse ones dense
WIDEST = 20_000


@dataclasses.dataclass(frozen=True)
class Work:
    """Where things are: preset folders, kept vectors, records and runs."""

    presets: pathlib.Path
    vectors: pathlib.Path
    runs: pathlib.Path


def majority(task, work):
    """The commonest class, the share of each label, or the mean."""
    truth, rows = task.targets["train"], len(task.targets["test"])
    if task.source.metric in ("r2", "average_precision"):
        return np.repeat(truth.mean(axis=0, keepdims=True), rows, axis=0), 0.0
    return np.full(rows, np.bincount(truth).argmax()), 0.0


def simple(task, work):
    """A linear model on simple features of all inputs; validation selects those of pictures."""
    began = time.perf_counter()
    kinds = task.source.kinds
    with_grey = (False, True) if "image" in kinds.values() else (False,)
    sets = [[simple_block(task, name, kinds[name], grey) for name in kinds] for grey in with_grey]
    return linear(task, sets), time.perf_counter() - began


def frozen(task, work):
    """A linear model on frozen vectors of media, beside numbers and categories."""
    began, spent, blocks = time.perf_counter(), 0.0, []
    if not any(kind in PRESETS for kind in task.source.kinds.values()):
        return None
    kept = FrozenVectors(work.presets, work.vectors)
    for name, kind in task.source.kinds.items():
        if kind not in PRESETS:
            blocks.append(simple_block(task, name, kind))
            continue
        # Time for computing is added below, whether it was in this run or not.
        apart = time.perf_counter()
        block = {}
        for split, cells in task.cells.items():
            block[split], seconds = kept.of(kind, cells[name])
            spent += seconds
        began += time.perf_counter() - apart
        blocks.append(block)
    return linear(task, [blocks]), time.perf_counter() - began + spent


def default(task, work):
    """What `describe` proposes for the table without pretrained weights."""
    return trained(task, work.runs / "scratch", presets=False)


def pretrained(task, work):
    """What `describe` proposes with pretrained weights; None where it proposes none."""
    if not any(kind in PRESETS for kind in task.source.kinds.values()):
        return None
    return trained(task, work.runs / "pretrained", presets=work.presets)


def trained(task, runs, presets):
    """A model of the proposed configuration, trained with the task's seed."""
    began = time.perf_counter()
    folder = runs / task.source.name / f"seed-{task.seed}"
    columns = [*task.source.kinds, LABEL]
    frame = task.frame[columns].assign(split=task.words)
    table = read_table(frame, root=task.source.root)
    proposed = describe(table, label=LABEL, presets=presets).config()
    config = Config.model_validate(proposed.model_dump() | {"seed": task.seed})
    ingest(table, config, folder / "data", progress=False)
    schema = Schema.load(folder / "data" / "schema.json")
    run = fit(config, schema, folder / "data", folder / "run", verbose=0)
    outputs = run.model.predict(load_split(config, schema, folder / "data", "test"), verbose=0)
    order = read_raw(folder / "data", "test", config)["row"]
    if not np.array_equal(np.sort(order), task.rows):
        raise ValueError(f"{task.source.name}: test rows were refused, {len(order)} are left")
    return in_order(outputs[LABEL][np.argsort(order)], task, schema), time.perf_counter() - began


def in_order(outputs, task, schema):
    """The head's outputs as predictions of the task, whose classes may be more."""
    if task.source.metric == "r2":
        return outputs[:, 0]
    names = [str(name) for name in schema.heads[LABEL].names]
    index = np.array([task.classes.index(name) for name in names])
    if task.source.metric == "average_precision":
        scores = np.zeros((len(outputs), len(task.classes)))
        scores[:, index] = outputs
        return scores
    return index[outputs.argmax(axis=1)]


def simple_block(task, name, kind, grey=False):
    """Features of an input; of a picture its colours, with `grey` also its pixels."""
    cells = task.cells
    match kind:
        case "text":
            return features.words(cells, name)
        case "image":
            colours = features.by_cell(cells, name, features.histogram)
            if not grey:
                return colours
            pixels = features.scaled(features.by_cell(cells, name, features.thumbnail))
            both = [scaled_to_one(colours), scaled_to_one(pixels)]
            return {split: np.hstack([one[split] for one in both]) for split in cells}
        case "audio":
            return features.scaled(features.by_cell(cells, name, features.mel_bands))
        case "number":
            return features.numbers(cells, name)
        case _:
            return features.categories(cells, name)


def linear(task, sets):
    """Logistic or ridge regression on one of several sets of blocks.

    The validation split selects the set and the regularization. Each block is scaled to rows of
    mean length 1 in training, so that none outweighs the others.
    """
    metric, truth = task.source.metric, task.targets
    best, found = -np.inf, None
    for blocks in sets:
        x = side_by_side([scaled_to_one(block) for block in blocks])
        for strength in STRENGTHS:
            one = model(metric, strength)
            with warnings.catch_warnings():
                # A weak regularization may need more steps, and is then seldom chosen.
                warnings.simplefilter("ignore", ConvergenceWarning)
                one.fit(x["train"], truth["train"])
            quality = score(metric, truth["validation"], predictions(one, x["validation"], metric))
            if quality > best:
                best, found = quality, predictions(one, x["test"], metric)
    return found


def scaled_to_one(block):
    """With rows of mean length 1 in training."""
    norm = sparse.linalg.norm if sparse.issparse(block["train"]) else np.linalg.norm
    length = float(norm(block["train"], axis=1).mean()) or 1.0
    return {split: one / length for split, one in block.items()}


def side_by_side(blocks):
    return {split: joined([block[split] for block in blocks]) for split in blocks[0]}


def joined(parts):
    dense = [part for part in parts if not sparse.issparse(part)]
    if not dense or sum(part.shape[1] for part in parts) > WIDEST:
        return sparse.hstack(parts, format="csr")
    return np.hstack([part.toarray() if sparse.issparse(part) else part for part in parts])


def model(metric, strength):
    if metric == "r2":
        return Ridge(alpha=1 / strength)
    weights = "balanced" if metric == "balanced_accuracy" else None
    one = LogisticRegression(C=strength, max_iter=ITERATIONS, class_weight=weights)
    return OneVsRestClassifier(one) if metric == "average_precision" else one


def predictions(fitted, x, metric):
    return fitted.predict_proba(x) if metric == "average_precision" else fitted.predict(x)


# by name, as on the page; our models last
COLUMNS = {
    "majority": majority,
    "simple": simple,
    "frozen": frozen,
    "default": default,
    "pretrained": pretrained,
}
