"""Files that come with a model or a run: vectors, tokenizers, records of JSON, indices, networks.

A name says after its first point what the file is: `small.bert.vocabulary.txt`.
"""

import gzip
import io
import json
import pathlib
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fuzz.corpus_text import CONFIGURATIONS

Files = dict[str, bytes]

WORDS = ("red", "bird", "的", "old")
DIM = 4
# what a preset's folder holds, of a kind each
PRESETS = ("bert", "bytes", "clip", "pieces", "sounds", "pictures")


def vectors() -> Files:
    """Word vectors: word2vec's text and binary, GloVe's, and packed."""
    numbers = np.linspace(-1, 1, len(WORDS) * DIM, dtype=np.float32).reshape(-1, DIM)
    rows = ["".join(f" {number:.3f}" for number in row) for row in numbers]
    glove = "".join(f"{word}{row}\n" for word, row in zip(WORDS, rows)).encode()
    header = f"{len(WORDS)} {DIM}\n".encode()
    binary = header + b"".join(
        word.encode() + b" " + row.tobytes() + b"\n" for word, row in zip(WORDS, numbers)
    )
    return {
        "glove.txt": glove,
        "word2vec.txt": header + glove,
        "word2vec.bin": binary,
        "packed.txt.gz": gzip.compress(header + glove, mtime=0),
        "packed.bin.gz": gzip.compress(binary, mtime=0),
    }


def presets() -> Files:
    """The files of small preset folders: tokenizers of each kind, settings and weights."""
    with tempfile.TemporaryDirectory() as folder:
        write_presets(pathlib.Path(folder))
        return {f"small.{name}": data for name, data in _contents(pathlib.Path(folder))}


def write_presets(folder: pathlib.Path) -> None:
    """Writes a preset folder for each of `PRESETS`."""
    # imports Keras, which takes its time
    import pretrained_networks as networks

    networks.sentence_preset(folder / "bert")
    networks.text_family(folder / "bytes", "Roberta")
    networks.pair_preset(folder / "clip", "CLIP")
    networks.many_languages_preset(folder / "pieces")
    # its rules of normalization are a quarter of a megabyte, and the same for all
    (folder / "pieces/assets/tokenizer/vocabulary.spm").write_bytes(
        networks._letters_model(
            pad_id=-1, unk_id=0, bos_id=1, eos_id=2, normalization_rule_name="identity"
        )
    )
    networks.whisper_preset(folder / "sounds")
    networks.image_family(folder / "pictures", "MobileNet")
    # Hugging Face's, which says what KerasHub does not
    for name in ("bert", "bytes"):
        settings = {"do_lower_case": True, "strip_accents": None}
        (folder / name / "tokenizer_config.json").write_text(json.dumps(settings))


def _contents(folder: pathlib.Path) -> Iterator[tuple[str, bytes]]:
    """Files by their path with points for slashes."""
    for path in sorted(folder.rglob("*")):
        # what the networks are made of is the same for all
        if path.is_file() and path.stat().st_size < 200_000:
            yield ".".join(path.relative_to(folder).parts), path.read_bytes()


def schemas() -> Files:
    """What was learned: of the model of `fuzz.served`, and of each tokenizer of subwords."""
    import small_tokenizers

    from fuzz.served import SCHEMA

    own = SCHEMA.model_dump_json(indent=1).encode()
    files = {"served.served.json": own}
    for name, tokenizer in small_tokenizers.TOKENIZERS.items():
        if name in ("word_piece", "byte_pair", "sentence_piece"):
            schema = small_tokenizers.Schema(
                rows=9,
                inputs={"t": small_tokenizers.learn(tokenizer)},
                heads=small_tokenizers.CLASSES,
            )
            files[f"small.{name}.json"] = schema.model_dump_json(indent=1).encode()
    return files


def json_files() -> Files:
    """What ingest, runs, searches, evaluations and exports write beside their data."""
    shard = {"file": "train-00000.tfrecord", "rows": 2, "bytes": 90, "sha256": "00"}
    manifest = {
        "table": "pets.csv", "config_hash": "", "splits": {"train": [shard]}, "table_rows": 3,
        "kept": 2, "rejected": 1, "hash": "",
    }  # fmt: skip
    metric = {"value": 0.5, "n": 9, "unit": "accuracy", "low": 0.25, "high": 0.75}
    contents: dict[str, Any] = {
        "manifest": manifest,
        "run": _run(),
        "outcome": {"status": "completed", "metrics": {"loss": 0.5}, "folds": [{"loss": 0.5}]},
        "evaluation": {
            "split": "test", "rows": 9, "resamples": 10, "seed": 0,
            "heads": {"label": {"type": "classification", "n": 9, "metrics": {"accuracy": metric}}},
        },
        "temperature": {"label": 1.5},
        "zero_shot": {"head": "space", "classes": ["a", "b"]},
    }  # fmt: skip
    return {f"small.{name}.json": json.dumps(one).encode() for name, one in contents.items()}


def _run() -> dict[str, Any]:
    return {
        "status": "finished",
        "started": "2026-11-30T12:00:00Z",
        "ended": "2026-11-30T12:30:00Z",
        "metrics": {"loss": 0.5},
        "seed": 0,
        "versions": {"keras": "3"},
        "machine": {"cores": 2, "intra_op_threads": 0, "inter_op_threads": 0, "onednn": ""},
        "data": {"records": "records", "table": "pets.csv", "hash": "", "rows": {"train": 2}},
        "config": json.loads(CONFIGURATIONS["small.json"]),
    }


def indices() -> Files:
    """Indices of vectors for search, as NumPy and Parquet files."""
    from multimodal_tf.serving.search_index import SearchIndex

    vectors = np.eye(6, DIM, dtype=np.float32) + np.eye(6, DIM, 2, dtype=np.float32)
    index = SearchIndex("space", "photo", "0" * 64, np.arange(6), vectors)
    files = {}
    with tempfile.TemporaryDirectory() as folder:
        for ending in ("npz", "parquet"):
            path = pathlib.Path(folder) / f"index.{ending}"
            index.save(path)
            files[path.name] = path.read_bytes()
    return files


def networks() -> Files:
    """Keras' own file, what fine-tuning keeps, and a SavedModel's graph, alone and packed."""

    from multimodal_tf.training.peft.save import save_peft

    files = {}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        model = network(adapted=False)
        model.save(folder / "network.keras")
        save_peft(network(adapted=True), folder / "network.safetensors")
        exported = folder / "exported"
        model.export(exported, verbose=False)
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            archive.add(exported, "exported", filter=_same_everywhere)
        files = {
            path.name: path.read_bytes()
            for path in (folder / "network.keras", folder / "network.safetensors")
        }
        files["graph.pb"] = (exported / "saved_model.pb").read_bytes()
        files["network.tar.gz"] = packed.getvalue()
    return files


def _same_everywhere(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mtime = member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def network(adapted: bool) -> Any:
    """A small model, the same each time; `adapted`: with LoRA."""
    import keras

    from multimodal_tf.training.peft.add import add_lora

    keras.utils.set_random_seed(0)
    x = keras.Input((8,), name="x")
    y = keras.layers.Dense(8, activation="relu", name="photo_dense")(x)
    model = keras.Model(x, keras.layers.Dense(2, name="label")(y), name="small")
    if adapted:
        add_lora(model, "photo_*", rank=1)
    return model


# as `fuzz.corpus.SEEDS`
SEEDS: dict[str, Callable[[], Files]] = {
    "vectors": vectors,
    "preset": presets,
    "schema": schemas,
    "json": json_files,
    "index": indices,
    "network": networks,
}
