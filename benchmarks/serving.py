"""Latency and rows per second of an exported model on raw bytes, and the fraction of decoding.

It prints a Markdown table.

    python -m benchmarks.serving
    python -m benchmarks.serving --export OUT/1     # only writes the model

The model is the default one over three inputs, with random weights, which take as long as trained
ones: a 500 x 400 JPEG, a title, a 2-second WAV at 16 kHz. `predict` takes their bytes, `core` the
tensors made from them, so that decoding is the difference. The two run in turn; each time is a
median.
"""

import argparse
import io
import pathlib
import statistics
import tempfile
import time

import numpy as np
import soundfile
import tensorflow as tf
from PIL import Image, ImageFilter

from multimodal_tf.config import AudioInput, ClassificationHead, Config, ImageInput, TextInput
from multimodal_tf.data.preprocessor import Preprocessor
from multimodal_tf.models.build import build_model
from multimodal_tf.schema import Classes, Schema, Vocabulary
from multimodal_tf.serving.export import export_model

BATCHES = (1, 8, 64)
RUNS = {1: 60, 8: 30, 64: 9}
# distinct rows; larger batches repeat them
DISTINCT = 16

CONFIG = Config(
    inputs={"photo": ImageInput(), "title": TextInput(), "clip": AudioInput()},
    heads={"label": ClassificationHead()},
)


def schema():
    classes = [f"class {i}" for i in range(16)]
    vocabulary = Vocabulary(words=[f"word{i}" for i in range(5000)])
    return Schema(
        rows=5000,
        inputs={"title": vocabulary},
        heads={"label": Classes(names=classes, counts=[300] * 16)},
    )


def photo(generator):
    """A JPEG like a camera's: smooth with some grain, 30 to 60 KB."""
    pixels = Image.fromarray(generator.integers(0, 256, (400, 500, 3), np.uint8)).filter(
        ImageFilter.GaussianBlur(2)
    )
    buffer = io.BytesIO()
    pixels.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def clip(generator):
    """Two seconds of 16-bit noise, 64 KB."""
    buffer = io.BytesIO()
    soundfile.write(
        buffer, generator.normal(0, 0.1, 32_000), 16_000, format="WAV", subtype="PCM_16"
    )
    return buffer.getvalue()


def rows(count):
    generator = np.random.default_rng(0)
    made = {
        "photo": [photo(generator) for _ in range(DISTINCT)],
        "title": [
            " ".join(f"word{i}" for i in generator.integers(0, 5000, 8)) for _ in range(DISTINCT)
        ],
        "clip": [clip(generator) for _ in range(DISTINCT)],
    }
    return {
        name: tf.constant([cells[i % DISTINCT] for i in range(count)])
        for name, cells in made.items()
    }


def medians(functions, runs):
    """Median seconds of each function, run in turn."""
    taken: list[list[float]] = [[] for _ in functions]
    for _ in range(runs):
        for function, times in zip(functions, taken):
            start = time.perf_counter()
            function()
            times.append(time.perf_counter() - start)
    return [statistics.median(times) for times in taken]


def export(folder):
    return export_model(build_model(CONFIG, schema()), CONFIG, schema(), folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--export", metavar="NAME/VERSION", type=pathlib.Path)
    wanted = parser.parse_args().export
    if wanted:
        export(wanted)
        return
    preprocessor = Preprocessor(CONFIG, schema())
    with tempfile.TemporaryDirectory() as folder:
        path = export(pathlib.Path(folder) / "bench" / "1")
        signatures = tf.saved_model.load(str(path)).signatures
    cells = rows(DISTINCT)
    sizes = {name: int(tf.reduce_mean(tf.strings.length(column))) for name, column in cells.items()}
    first = time.perf_counter()
    signatures["serving_default"](**rows(1))
    first = time.perf_counter() - first
    print(
        f"Mean bytes per cell: {sizes}. First request: {first:.1f} s (in TensorFlow Serving, the"
        " warm-up requests in `assets.extra` take this time).\n"
    )
    print("| batch | predict, ms | rows/s | core, ms | decoding, fraction of predict |")
    print("|---:|---:|---:|---:|---:|")
    for batch in BATCHES:
        raw = rows(batch)
        inputs = preprocessor.model_inputs(preprocessor.features(raw)[0])
        predict, core = (
            lambda raw=raw: signatures["predict"](**raw),
            lambda inputs=inputs: signatures["core"](**inputs),
        )
        medians([predict, core], 2)
        whole, model = medians([predict, core], RUNS[batch])
        print(
            f"| {batch} | {1000 * whole:.1f} | {batch / whole:.0f} | {1000 * model:.1f}"
            f" | {1 - model / whole:.0%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
