"""The models of `benchmarks.towers`: which towers are trained on which input, and the data sets."""

import dataclasses

from multimodal_tf.config import (
    ApplicationTower,
    BagTower,
    BytePairTokenizer,
    CharacterTokenizer,
    ConvTower,
    CRNNTower,
    Fusion,
    GRUTower,
    ImageAugmentation,
    Input,
    LSTMTower,
    NgramTokenizer,
    ResNetTower,
    SkipGram,
    SpectrogramTower,
    SpectrogramTransformerTower,
    TransformerTower,
    ViTTower,
    WaveformTower,
    WordPieceTokenizer,
)
from multimodal_tf.data.datasets import digits_config, digits_table, stamps_config, stamps_table

# learning rate of transformers
GENTLE = 1e-3


@dataclasses.dataclass(frozen=True)
class Entry:
    """A row of the table.

    Attributes:
        name: str.
        inputs: the inputs of the model.
        against: str. Name of the row to compare with.
        learning_rate, fusion: None: those of the data set's configuration.
    """

    name: str
    inputs: dict[str, Input]
    against: str
    learning_rate: float | None = None
    fusion: Fusion | None = None


def stamps_entries():
    config = stamps_config()
    images = {
        "CNN": {"tower": ConvTower()},
        "CNN, augmented": {
            "tower": ConvTower(),
            "augmentation": ImageAugmentation(flip="horizontal", crop=0.1, erasing=0.2),
        },
        "ResNet 18 of 16 filters, 48 x 48": {
            "tower": ResNetTower(filters=16),
            "height": 48,
            "width": 48,
        },
        "MobileNetV3Small": {"tower": ApplicationTower(name="MobileNetV3Small")},
        "EfficientNetB0, 48 x 48": {
            "tower": ApplicationTower(name="EfficientNetB0"),
            "height": 48,
            "width": 48,
        },
        "ViT of 64 units, patches of 8": {"tower": ViTTower(units=64, mlp_units=128, patch_size=8)},
    }
    return [
        Entry(
            "image + description + sound: the default", config.inputs, "TF-IDF + colour histogram"
        ),
        *(
            _entry("image", config, name, fields, "colour histogram")
            for name, fields in images.items()
        ),
        *(
            _entry("description", config, name, fields, "TF-IDF")
            for name, fields in text_towers().items()
        ),
        *(
            _entry("sound", config, name, fields, "mel bands")
            for name, fields in audio_towers(mel_bins=40, hop_ms=20).items()
        ),
    ]


def digits_entries():
    config = digits_config()
    large = {"height": 32, "width": 32}
    images = {
        "CNN": {},
        "ResNet 18 of 16 filters, 32 x 32": large | {"tower": ResNetTower(filters=16)},
        "MobileNetV3Small, 32 x 32": large
        | {"tower": ApplicationTower(name="MobileNetV3Small"), "channels": 3},
        "ViT of 64 units, patches of 4": {"tower": ViTTower(units=64, mlp_units=128, patch_size=4)},
    }
    return [
        Entry("image + sound + text: the default", config.inputs, "TF-IDF + pixels + mel bands"),
        *(_entry("image", config, name, fields, "pixels") for name, fields in images.items()),
        *(_entry("text", config, name, fields, "TF-IDF") for name, fields in text_towers().items()),
        *(
            _entry("sound", config, name, fields, "mel bands")
            for name, fields in audio_towers(mel_bins=32).items()
        ),
    ]


def text_towers():
    small = {"units": 64, "mlp_units": 128}
    return {
        "bag of words": {"tower": BagTower()},
        "bag of n-grams": {
            "tower": BagTower(),
            "tokenizer": NgramTokenizer(buckets=16_384),
            "max_tokens": 128,
        },
        "LSTM": {"tower": LSTMTower()},
        "GRU": {"tower": GRUTower()},
        "bidirectional LSTM": {"tower": LSTMTower(bidirectional=True)},
        "LSTM on skip-gram vectors": {"tower": LSTMTower(), "vectors": SkipGram()},
        "GRU on characters": {
            "tower": GRUTower(),
            "tokenizer": CharacterTokenizer(),
            "max_tokens": 48,
        },
        "transformer of 64 units": {"tower": TransformerTower(**small)},
        "transformer of 64 units on WordPiece": {
            "tower": TransformerTower(**small),
            "tokenizer": WordPieceTokenizer(vocabulary_size=1000),
        },
        "causal transformer of 64 units on BPE": {
            "tower": TransformerTower(**small, causal=True, pooling="last"),
            "tokenizer": BytePairTokenizer(vocabulary_size=1000),
        },
    }


def audio_towers(**spectrogram):
    small = {"units": 64, "mlp_units": 128, "patch_bins": 8}
    return {
        "CNN on a spectrogram": {"tower": SpectrogramTower(**spectrogram)},
        "CRNN": {"tower": CRNNTower(**spectrogram)},
        "transformer of 64 units on a spectrogram": {
            "tower": SpectrogramTransformerTower(**small, **spectrogram)
        },
        "CNN on the waveform": {"tower": WaveformTower()},
    }


def _entry(column, config, name, fields, against):
    input_config = config.inputs[column]
    changed = {
        field: value.model_dump() if hasattr(value, "model_dump") else value
        for field, value in fields.items()
    }
    gentle = GENTLE if "transformer" in name or "ViT" in name else None
    return Entry(
        f"{column}: {name}",
        {column: type(input_config).model_validate(input_config.model_dump() | changed)},
        against,
        gentle,
    )


# entries, configuration, table
DATASETS = {
    "stamps": (stamps_entries, stamps_config, stamps_table),
    "digits": (digits_entries, digits_config, digits_table),
}
