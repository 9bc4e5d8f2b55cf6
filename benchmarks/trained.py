"""Trains the models of a benchmark once: finished trainings are read from their folder."""

import dataclasses
import json
import pathlib
import re
import statistics
import sys
import tempfile
import time

import keras
import numpy as np

from benchmarks.linear import LABEL
from multimodal_tf.config import Config
from multimodal_tf.data.fit_schema import fit_schema
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.serving.export import export_model
from multimodal_tf.training.fit import fit


@dataclasses.dataclass(frozen=True)
class Result:
    """What is kept of a finished training; the rest is in its run folder."""

    config: dict
    # hash of the records
    data: str
    # by row of the test split
    hits: list[bool]
    parameters: int
    epochs: int
    # CPU time per step, median of the epochs without the first
    milliseconds: float
    # bytes of the SavedModel; first seed only
    exported: int | None


def trained(entry, config, directory, with_export):
    """The `Result` of a training.

    It is read from its file if that belongs to these settings and records.
    """
    config = for_entry(config, entry)
    file, data = directory / f"{slug(entry.name)}.json", Manifest.load(directory / "data").hash
    if file.is_file():
        result = Result(**json.loads(file.read_text()))
        if (result.config, result.data) == (config.model_dump(mode="json"), data) and (
            result.exported or not with_export
        ):
            return result
    result = train(config, directory / "data", directory / slug(entry.name), data, with_export)
    file.write_text(json.dumps(dataclasses.asdict(result)))
    print(
        f"{directory.parent.name}, seed {config.seed}, {entry.name}: {np.mean(result.hits):.3f}",
        file=sys.stderr,
        flush=True,
    )
    return result


def slug(name):
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def for_entry(config, entry):
    """The data set's configuration with the changes of the entry.

    A single input has no modality dropout, because nothing would be left.
    """
    fusion = (entry.fusion or config.fusion).model_dump() | (
        {"modality_dropout": 0.0} if len(entry.inputs) == 1 else {}
    )
    training = config.training.model_dump() | (
        {"learning_rate": entry.learning_rate} if entry.learning_rate else {}
    )
    inputs = {name: one.model_dump() for name, one in entry.inputs.items()}
    return Config.model_validate(
        config.model_dump() | {"inputs": inputs, "fusion": fusion, "training": training}
    )


def train(config, records, run_dir, data_hash, with_export):
    # Tokenizers differ, so each entry needs its own schema.
    schema = fit_schema(config, records)
    clock = Clock()
    run = fit(config, schema, records, run_dir, callbacks=[clock], verbose=0)
    test = load_split(config, schema, records, "test")
    truth = np.concatenate([targets[LABEL].numpy() for _, targets, _ in test])
    hits = run.model.predict(test, verbose=0)[LABEL].argmax(axis=1) == truth
    exported = exported_bytes(run.model, config, schema) if with_export else None
    settings = config.model_dump(mode="json")
    return Result(
        settings,
        data_hash,
        hits.tolist(),
        run.model.count_params(),
        run.record.epochs,
        clock.milliseconds(),
        exported,
    )


class Clock(keras.callbacks.Callback):
    """CPU ms per training step, without validation; other programs disturb wall time more."""

    def __init__(self):
        super().__init__()
        self.epochs = []

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.process_time()

    def on_train_batch_end(self, batch, logs=None):
        self.end, self.steps = time.process_time(), batch + 1

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(1000 * (self.end - self.start) / self.steps)

    def milliseconds(self):
        # The first epoch traces the graph.
        return statistics.median(self.epochs[1:] or self.epochs)


def exported_bytes(model, config, schema):
    with tempfile.TemporaryDirectory() as folder:
        path = export_model(model, config, schema, pathlib.Path(folder) / "tower" / "1")
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
