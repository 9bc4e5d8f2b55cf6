"""What is fuzzed beside cells: files of models, tokenizers, runs and searches.

Functions and classes as `fuzz.targets` has them. A file's name says what it is, as
`fuzz.corpus_files` says.
"""

import pathlib
import shutil
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from fuzz import corpus_files
from fuzz.outcomes import DisagreementError

_TEXTS = ("red bird", "", "a 的 x\0y " * 9, "İstanbul " + "a" * 300, "👩‍👩‍👧‍👦 ##s</w>Ġ")


def refusals(attempt: Callable[[pathlib.Path], None], path: pathlib.Path) -> str:
    """Why a file is refused; "" where it is not."""
    try:
        attempt(path)
    except (ValueError, FileNotFoundError) as error:
        return str(error) or "no reason"
    return ""


def vectors(data: bytes, path: pathlib.Path) -> str:
    """The vectors of a vocabulary."""
    from multimodal_tf.data.tokenizers.word_vectors import read_vectors

    def attempt(path: pathlib.Path) -> None:
        words = list(corpus_files.WORDS)
        found = read_vectors("f", str(path), words, corpus_files.DIM, 0).array()
        if found.shape != (len(words), corpus_files.DIM) or not np.isfinite(found).all():
            raise DisagreementError(f"vectors of {found.shape}, or not finite")

    return refusals(attempt, path)


class Presets:
    """One file of a preset's folder is another: its digest, what it says, its tokenizer."""

    def __init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory()
        self._good = pathlib.Path(self._temporary.name) / "good"
        corpus_files.write_presets(self._good)

    def __call__(self, data: bytes, path: pathlib.Path) -> str:
        """As an `Attempt`."""
        _, kind, *parts = path.name.split(".")
        name = next(
            one.relative_to(self._good / kind)
            for one in (self._good / kind).rglob("*")
            if ".".join(one.relative_to(self._good / kind).parts) == ".".join(parts)
        )
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary) / kind
            shutil.copytree(self._good / kind, folder)
            (folder / name).write_bytes(data)
            attempts = [_described]
            # a graph is traced for each file, half a second: not for weights, which it cannot read
            if kind not in ("sounds", "pictures") and name.suffix != ".h5":
                attempts.append(_tokenized)
            reasons = [refusals(one, folder) for one in attempts]
        return "; ".join(filter(None, reasons))


def _described(folder: pathlib.Path) -> None:
    from multimodal_tf.data.presets.find import find_presets
    from multimodal_tf.data.presets.folder import read_preset, weights_digest

    find_presets(folder.parent, empty=True)
    weights_digest(folder)
    read_preset(folder)


def _tokenized(folder: pathlib.Path) -> None:
    from multimodal_tf.config import PresetTokenizer
    from multimodal_tf.data.tokenizers.graph_tokenizers import graph_tokenizer
    from multimodal_tf.data.tokenizers.train_subwords import fit_subwords

    settings = PresetTokenizer(preset=str(folder))
    stats = fit_subwords("f", settings, lambda prepare: ())
    _check_ids(graph_tokenizer(settings, stats)(tf.constant(_TEXTS), 50), stats.size)


def _check_ids(ids: tf.RaggedTensor, size: int) -> None:
    flat = ids.flat_values.numpy()
    if flat.size and not 0 <= flat.min() <= flat.max() < size:
        raise DisagreementError(f"ids from {flat.min()} to {flat.max()} of {size}")


def schema(data: bytes, path: pathlib.Path) -> str:
    """What was learned, as a configuration's inputs read cells by it."""
    import small_tokenizers

    from fuzz import served
    from multimodal_tf.config import Config, TextInput
    from multimodal_tf.data.preprocessor import Preprocessor
    from multimodal_tf.schema import Schema, check_schema

    kind = path.name.split(".")[1]
    config = served.CONFIG
    if kind != "served":
        text = TextInput(tokenizer=small_tokenizers.TOKENIZERS[kind], max_tokens=8)
        config = Config(inputs={"t": text}, heads=small_tokenizers.HEADS)

    def attempt(path: pathlib.Path) -> None:
        found = Schema.load(path)
        check_schema(config, found)
        preprocessor = Preprocessor(config, found)
        cells = {
            name: tf.fill([2, *spec.shape[1:]], 1.0) if spec.dtype.is_floating else ["red", "x"]
            for name, spec in preprocessor.raw_spec.items()
        }
        features, _ = preprocessor.features(cells)
        for name, values in preprocessor.model_inputs(features).items():
            if values.dtype.is_floating and not np.isfinite(values).all():
                raise DisagreementError(f"the model's input {name} is not finite")

    return refusals(attempt, path)


def json_file(data: bytes, path: pathlib.Path) -> str:
    """What stands beside records, runs, evaluations and exported models."""
    return refusals(_json(path.name.split(".")[1]), path)


def _json(kind: str) -> Callable[[pathlib.Path], Any]:
    from multimodal_tf.config.saved_model.files import (
        ASSETS,
        TEMPERATURE_FILE,
        ZERO_SHOT_FILE,
        load_temperatures,
    )
    from multimodal_tf.data.manifest import FILE, Manifest
    from multimodal_tf.evaluation.evaluate import Evaluation
    from multimodal_tf.serving import zero_shot
    from multimodal_tf.training.run_dir import load_record
    from multimodal_tf.training.tune import outcome

    def inside(name: str, load: Callable[[pathlib.Path], Any]) -> Callable[[pathlib.Path], Any]:
        def attempt(path: pathlib.Path) -> Any:
            with tempfile.TemporaryDirectory() as folder:
                target = pathlib.Path(folder) / name
                target.parent.mkdir(exist_ok=True)
                shutil.copy(path, target)
                return load(pathlib.Path(folder))

        return attempt

    def manifest(folder: pathlib.Path) -> None:
        loaded = Manifest.load(folder)
        for shard in loaded.shards("train"):
            if shard.parent.resolve().parent not in (folder.resolve(), folder.resolve().parent):
                raise DisagreementError(f"a shard elsewhere: {shard}")

    return {
        "manifest": inside(FILE, manifest),
        "run": load_record,
        "outcome": inside("outcomes/a.json", lambda folder: outcome.load(folder, "a")),
        "evaluation": lambda path: Evaluation.load(path).render(),
        "temperature": inside(f"{ASSETS}/{TEMPERATURE_FILE}", load_temperatures),
        "zero_shot": inside(f"{ASSETS}/{ZERO_SHOT_FILE}", zero_shot.load),
    }[kind]


def index(data: bytes, path: pathlib.Path) -> str:
    """An index of vectors, as it is searched."""
    from multimodal_tf.serving.search_index import SearchIndex

    def attempt(path: pathlib.Path) -> None:
        found = SearchIndex.load(path)
        rows, cosines = found.nearest(np.ones((2, found.vectors.shape[1])), 3)
        if not np.isin(rows, found.rows).all() or not np.isfinite(cosines).all():
            raise DisagreementError("other rows, or cosines that are not finite")

    return refusals(attempt, path)


def network(data: bytes, path: pathlib.Path) -> str:
    """A file of Keras, of fine-tuning, or of a SavedModel, whose graph is checked and not run."""
    return refusals(_NETWORKS[path.suffix], path)


def _keras_file(path: pathlib.Path) -> None:
    from multimodal_tf.models.keras_archive import load_keras_file

    load_keras_file(path)


def _fine_tuned(path: pathlib.Path) -> None:
    from multimodal_tf.training.peft.save import load_peft

    load_peft(corpus_files.network(adapted=False), path)


def _graph(path: pathlib.Path) -> None:
    from multimodal_tf.config.saved_model import check

    with tempfile.TemporaryDirectory() as folder:
        check.check(check.parse(path.read_bytes()), pathlib.Path(folder))


def _archive(path: pathlib.Path) -> None:
    from multimodal_tf.models.towers import saved_model_files

    saved_model_files.fetch(str(path), "f")


_NETWORKS = {
    ".keras": _keras_file,
    ".safetensors": _fine_tuned,
    ".pb": _graph,
    ".gz": _archive,
}
# as `fuzz.targets.TARGETS`
TARGETS = {
    "vectors": lambda: vectors,
    "preset": Presets,
    "schema": lambda: schema,
    "json": lambda: json_file,
    "index": lambda: index,
    "network": lambda: network,
}
