"""What is the same in every process: orders of rows, tokenizers, word vectors, corruptions.

The fixture `other_process` has the results of a process of its own, which all tests share.
"""

import hashlib
import json

import corrupted_cells
import numpy as np
import small_tokenizers
import tensorflow as tf
from shards import write_shards

from multimodal_tf.config import Config, NumberInput, RegressionHead, SkipGram, Training
from multimodal_tf.data.fit_schema import fit_schema
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.data.tokenizers.word_vectors import skip_gram
from multimodal_tf.schema import Schema

CONFIG = Config(
    inputs={"price": NumberInput()},
    heads={"age": RegressionHead()},
    training=Training(batch_size=8),
    seed=5,
)
SAVED = ("characters", "word_piece", "byte_pair", "sentence_piece")

# of the other process; the SavedModel needs no more than TensorFlow Text
PROGRAM = """
import json, pathlib, sys
import tensorflow as tf, tensorflow_text
folder = pathlib.Path(sys.argv[1])
cells = tf.constant(json.loads((folder / "cells.json").read_text()))
ids = tf.saved_model.load(str(folder / "tokenizers")).ids(cells)
assert "multimodal_tf" not in sys.modules
import keras, same_everywhere
keras.utils.set_random_seed(7)
results = same_everywhere.results(folder)
results |= {kind: found.numpy().tolist() for kind, found in ids.items()}
(folder / "results.json").write_text(json.dumps(results))
"""
ENVIRONMENT = {"RAYON_NUM_THREADS": "1", "PYTHONHASHSEED": "7"}


def prepare(folder):
    """Writes what a process reads: records, and a SavedModel of tokenizers with its texts."""
    (folder / "records").mkdir()
    rows = [({"price": float(number)}, {"age": float(number)}) for number in range(50)]
    write_shards(folder / "records", rows_per_shard=7, train=rows)
    fit_schema(CONFIG, folder / "records").save(folder / "records" / "schema.json")
    (folder / "cells.json").write_text(json.dumps(small_tokenizers.CELLS))
    module = tf.Module()
    module.parts = {kind: small_tokenizers.preprocessor(kind) for kind in SAVED}
    module.ids = tf.function(
        lambda cells: {
            kind: part.features({"t": cells})[0]["t"] for kind, part in module.parts.items()
        },
        input_signature=[tf.TensorSpec([None], tf.string)],
        autograph=False,
    )
    tf.saved_model.save(module, str(folder / "tokenizers"))


def results(folder):
    return {
        "orders": orders(folder),
        "subwords": subwords(),
        "word_vectors": word_vectors().data,
        "corruptions": corrupted_cells.digest(),
    }


def orders(folder):
    """The training rows of two epochs, by their ages."""
    schema = Schema.load(folder / "records" / "schema.json")
    batches = load_split(CONFIG, schema, folder / "records", "train", training=True)
    return [
        [int(age) for _, targets, _ in batches for age in targets["age"].numpy()[:, 0]]
        for _ in range(2)
    ]


def subwords():
    """A hash of what each tokenizer of subwords learns."""
    learned = map(small_tokenizers.stats_of, ("word_piece", "byte_pair", "sentence_piece"))
    return hashlib.sha256("".join(one.model_dump_json() for one in learned).encode()).hexdigest()


def word_vectors(seed=0):
    """Vectors of words that stand together in two groups of four."""
    generator = np.random.default_rng(0)
    groups = [["cat", "dog", "pet", "fur"], ["car", "road", "wheel", "drive"]]
    texts = [list(generator.choice(groups[n % 2], 4)) for n in range(600)]
    return skip_gram("inputs.t.vectors", SkipGram(epochs=30), sum(groups, []), texts, 8, seed)
