"""The cost of checkpoints, and whether a killed training resumes bit-exactly.

- `kills`: a training on digits with image and audio, augmentation, dropout and early stopping,
  killed with signal 9 at N random times, each after a new checkpoint, and repeated as often as
  needed; then whether weights, history and metrics equal those of an uninterrupted training.
- `overhead`: `training.fit`, with a checkpoint every 60 seconds at most, and plain `model.fit`
  without callbacks on the same batches, in turns by epoch: the ratio of the times of an epoch's
  steps, in wall time and in CPU time of all threads.
- `checkpoints`: how long a checkpoint stops the training, against the model's size, and how long
  its background thread writes.
- `memory`: the peak memory of a process that draws an epoch from shards, for 1 x and 20 x the rows.

Run `python -m benchmarks.resume kills --kills 50` and so on.
"""

import argparse
import concurrent.futures
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import keras
import numpy as np

from multimodal_tf.config import Config, Training
from multimodal_tf.data import pipeline
from multimodal_tf.data.datasets.digits import digits_config, digits_table
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.models.build import build_model, compile_arguments
from multimodal_tf.schema import Schema
from multimodal_tf.training.checkpoint import Checkpoints
from multimodal_tf.training.fit import fit
from multimodal_tf.training.optimizer import make_optimizer
from multimodal_tf.training.resume import Resumable
from multimodal_tf.training.run_dir import load_run

OUT = pathlib.Path("runs/resume")
RECORDS = OUT / "records"
CHILD = [sys.executable, "-m", "benchmarks.resume", "child"]


def config(**training):
    whole = digits_config().model_dump()
    image = next(name for name, one in whole["inputs"].items() if one["type"] == "image")
    audio = next(name for name, one in whole["inputs"].items() if one["type"] == "audio")
    whole["inputs"][image]["augmentation"] = {"crop": 0.1, "rand_augment": 0.2, "erasing": 0.1}
    whole["inputs"][audio]["augmentation"] = {"shift_ms": 10, "gain_db": 3, "time_masks": 1}
    return Config.model_validate(whole | {"training": Training(**training).model_dump()})


def records():
    if not (RECORDS / "manifest.json").exists():
        ingest(digits_table(), config(), RECORDS)
    return Schema.load(RECORDS / "schema.json")


def kills(count):
    """Trainings that are killed and restarted until they end, repeated for `count` kills."""
    records()
    shutil.rmtree(OUT / "whole", ignore_errors=True)
    begin = time.monotonic()
    subprocess.run([*CHILD, str(OUT / "whole")], check=True)
    alone = time.monotonic() - begin
    moments = random.Random(0)
    lost: list = []
    extra, resumed, differ = [], [], []
    while len(lost) < count:
        begin, before = time.monotonic(), len(lost)
        shutil.rmtree(OUT / "killed", ignore_errors=True)
        ended = False
        while not ended and len(lost) < count:
            ended = killed(moments, lost)
        if not ended:
            subprocess.run([*CHILD, str(OUT / "killed")], check=True)
        extra.append((time.monotonic() - begin - alone) / max(len(lost) - before, 1))
        resumed.append(load_run(OUT / "killed").record.resumed)
        differ += differences(load_run(OUT / "whole"), load_run(OUT / "killed"))
    print(
        f"{len(lost)} kills of {len(resumed)} trainings, which resumed {sum(resumed)} times;"
        f" differences at their end: {differ or 'none'}"
    )
    print(
        f"a kill costs {np.median(extra):.1f} s: the training since the last checkpoint"
        f" (median {np.median(lost):.2f} s), and a start of Python and TensorFlow"
    )


def killed(moments, lost):
    """Starts the training and kills it a random time after its next checkpoint.

    Returns whether it ended before.
    """
    files = OUT / "killed" / "checkpoints"
    before = set(files.glob("*.checkpoint"))
    process = subprocess.Popen([*CHILD, str(OUT / "killed")])
    while process.poll() is None and set(files.glob("*.checkpoint")) <= before:
        time.sleep(0.01)
    time.sleep(moments.uniform(0, 2))
    if process.poll() is not None:
        if process.returncode:
            raise RuntimeError(f"the training failed with exit code {process.returncode}")
        return True
    newest = max((path.stat().st_mtime for path in files.glob("*.checkpoint")), default=time.time())
    process.send_signal(signal.SIGKILL)
    process.wait()
    lost.append(time.time() - newest)
    return False


def differences(one, other):
    """What differs between two runs, bit for bit."""
    same = {
        "weights": all(map(np.array_equal, one.model.get_weights(), other.model.get_weights())),
        "optimizer": all(
            map(np.array_equal, one.model.optimizer.variables, other.model.optimizer.variables)
        ),
        "history": one.history == other.history,
        "metrics": one.metrics == other.metrics,
    }
    return [name for name, equal in same.items() if not equal]


def child(run_dir):
    # A few epochs with several checkpoints each.
    fit(config(epochs=12, patience=4, checkpoint_steps=5), records(), RECORDS, run_dir, verbose=0)


class Turns(keras.callbacks.Callback):
    """Times of each epoch's steps, wall and CPU, without validation.

    An epoch begins when the other training's epoch has ended.
    """

    def __init__(self, mine, other):
        super().__init__()
        self.mine, self.other, self.times = mine, other, []

    def on_epoch_begin(self, epoch, logs=None):
        if not self.mine.acquire(timeout=600):
            raise TimeoutError("the other training has not ended its epoch for 10 minutes")
        self.begin = np.array([time.perf_counter(), time.process_time()])

    def on_test_begin(self, logs=None):
        self.times.append(np.array([time.perf_counter(), time.process_time()]) - self.begin)

    def on_epoch_end(self, epoch, logs=None):
        self.other.release()


def overhead(epochs):
    """Runs both trainings in turns by epoch; the first epoch, which traces, is left out."""
    schema, settings = records(), config(epochs=epochs)
    shutil.rmtree(OUT / "overhead", ignore_errors=True)
    one, other = threading.Semaphore(1), threading.Semaphore(0)
    ours, theirs = Turns(one, other), Turns(other, one)
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        ends = [
            threads.submit(
                fit, settings, schema, RECORDS, OUT / "overhead", callbacks=[ours], verbose=0
            ),
            threads.submit(plain, settings, schema, theirs),
        ]
        for end in ends:
            end.result()
    ratios = np.array(ours.times[1:]) / np.array(theirs.times[1:])
    for what, of in zip(("wall time", "CPU time"), ratios.T):
        low, middle, high = np.quantile(of, (0.25, 0.5, 0.75))
        print(
            f"training.fit / model.fit in {len(of)} epochs, {what}: median {middle:.3f},"
            f" quartiles {low:.3f} to {high:.3f}"
        )


def plain(settings, schema, steps):
    keras.utils.set_random_seed(settings.seed)
    model = build_model(settings, schema)
    train = load_split(settings, schema, RECORDS, "train", training=True)
    model.compile(
        make_optimizer(settings.training, model, len(train)), **compile_arguments(settings, schema)
    )
    validation = load_split(settings, schema, RECORDS, "validation")
    model.fit(
        train,
        validation_data=validation,
        epochs=settings.training.epochs,
        callbacks=[steps],
        verbose=0,
    )


def checkpoints():
    """Times of a checkpoint's copy and of its thread's write, for models of many weights."""
    for units in (300, 1000, 3000):
        model = keras.Sequential(
            [keras.Input((units,)), *(keras.layers.Dense(units) for _ in range(4))]
        )
        model.compile("adamw", "mse")
        model.train_on_batch(np.zeros((2, units)), np.zeros((2, units)))
        with tempfile.TemporaryDirectory() as folder:
            files = Checkpoints(pathlib.Path(folder))
            resumable = Resumable(
                [], model, files, None, 0, {}, seconds=1.0, verbose=0, epochs=1, steps=10
            )
            resumable.on_train_begin()
            pauses, writes = [], []
            for step in range(1, 6):
                resumable._save(step)
                begin = time.monotonic()
                files._settle()
                pauses.append(resumable._pause)
                writes.append(time.monotonic() - begin)
            files.close()
            size = max(path.stat().st_size for path in pathlib.Path(folder).iterdir())
        pause = float(np.median(pauses))
        print(
            f"{model.count_params():,} parameters, {size / 1e6:.0f} MB: stops training for"
            f" {1000 * pause:.1f} ms, then writes for {1000 * float(np.median(writes)):.0f} ms"
            f" in the background; so at most every {50 * pause:.1f} s"
        )


def memory():
    for times in (1, 20):
        print(
            subprocess.run(
                [sys.executable, "-m", "benchmarks.resume", "draw", str(times)],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )


def draw(times):
    """Draws an epoch from shards of the digits, repeated `times` times; prints the peak memory."""
    records()
    directory = OUT / f"records x {times}"
    if not (directory / "manifest.json").exists():
        import pandas as pd

        from multimodal_tf.data.table import read_table

        frame = pd.concat([*digits_table().chunks()] * times, ignore_index=True)
        ingest(read_table(frame), config(), directory, processes=1)
    # Disables caching.
    pipeline.available_memory = lambda: 0
    schema = Schema.load(RECORDS / "schema.json")
    batches = load_split(config(), schema, directory, "train", training=True)
    drawn = sum(len(next(iter(targets.values()))) for _, targets, _ in batches)
    print(
        f"{drawn} rows: peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB",
        end="",
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "what", choices=["kills", "overhead", "checkpoints", "memory", "child", "draw"]
    )
    parser.add_argument("argument", nargs="?")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=41)
    given = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    {
        "kills": lambda: kills(given.kills),
        "overhead": lambda: overhead(given.epochs),
        "checkpoints": checkpoints,
        "memory": memory,
        "child": lambda: child(given.argument),
        "draw": lambda: draw(int(given.argument)),
    }[given.what]()


if __name__ == "__main__":
    main()
