"""A small table of texts, images and numbers for models with frozen towers."""

import numpy as np
import pandas as pd
from media import image_bytes

from multimodal_tf.config import (
    ClassificationHead,
    Config,
    ImageInput,
    NumberInput,
    PresetTower,
    Split,
    TextInput,
    Training,
)
from multimodal_tf.data.ingest.schema_cache import schema_for
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.table import read_table

WORDS = ["cat", "dog", "bird"]
ROWS = {"train": 26, "validation": 7, "test": 5}


def frame(seed=0):
    """Few distinct cells, of which each is in several rows; each input is missing in some."""
    random = np.random.default_rng(seed)
    rows = sum(ROWS.values())
    pictures = [image_bytes(random.integers(0, 255, (8, 8, 3)).astype(np.uint8)) for _ in range(5)]
    kind = random.integers(3, size=rows)
    titles = [f"{WORDS[k]} {random.choice(['old', 'new'])}" for k in kind]
    photos = [pictures[i] for i in random.integers(5, size=rows)]
    return pd.DataFrame(
        {
            "split": np.repeat([*ROWS], [*ROWS.values()]),
            "title": [None if i % 7 == 3 else one for i, one in enumerate(titles)],
            "photo": [None if i % 5 == 1 else one for i, one in enumerate(photos)],
            "price": random.normal(size=rows),
            "label": [WORDS[k] for k in kind],
        }
    )


def text(pretrained, **tower):
    """A text input whose frozen tower is a BERT with dropout."""
    return TextInput(
        max_tokens=4, tower=PresetTower(**{"preset": pretrained.sentence_preset(), **tower})
    )


def image(pretrained, **fields):
    """An image input whose frozen tower is a ViT, with a projection that is trained."""
    tower = PresetTower(preset=pretrained.patch_preset(), dim=6)
    return ImageInput(**{"height": 16, "width": 16, "tower": tower, **fields})


def config(inputs, **fields):
    """A configuration of these inputs and a number."""
    settings = {
        "inputs": {**inputs, "price": NumberInput()},
        "heads": {"label": ClassificationHead()},
        "split": Split(column="split"),
        "training": Training(epochs=2, batch_size=8, linear_start=False),
        "seed": 5,
    }
    return Config(**settings | fields)


def ingested(config, folder):
    """Ingests the table into several shards; returns the schema."""
    ingest(read_table(frame(), root=folder), config, folder, processes=1, rows_per_shard=10)
    return schema_for(config, folder)
