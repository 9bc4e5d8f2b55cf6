"""A folder that holds a KerasHub preset: what it says of itself, its check, its digest."""

import dataclasses
import functools
import hashlib
import json
import pathlib
from typing import Any

import h5py

from multimodal_tf.data.presets.proposed import BACKBONES, BESIDE, MANY_LANGUAGES, Kind

CONFIG = "config.json"
# KerasHub's own, whole or in shards, and, for digests, those of Hugging Face's and timm's layouts
_WEIGHTS = (
    "model.weights.h5",
    "model_*.weights.h5",
    "*.safetensors",
    "pytorch_model*.bin",
    "tf_model.h5",
)


@dataclasses.dataclass(frozen=True)
class PresetFolder:
    """A preset on this machine, which a tower reads by its folder.

    Attributes:
        folder: absolute.
        kind: of the input that it reads.
        backbone: KerasHub's class, such as BertBackbone.
        many_languages: whether its tokenizer is one of many languages.
        settings: of the backbone.
        beside: settings of its converter or tokenizer.
        bytes: size of its weights.
    """

    folder: pathlib.Path
    kind: Kind
    backbone: str
    many_languages: bool
    settings: dict[str, Any] = dataclasses.field(hash=False)
    beside: dict[str, Any] = dataclasses.field(hash=False)
    bytes: int

    @property
    def name(self) -> str:
        """The folder's name; in Kaggle's cache that of the folder above the version."""
        return self.folder.parent.name if self.folder.name.isdigit() else self.folder.name


def read_preset(folder: pathlib.Path) -> PresetFolder:
    """Reads what a preset says of itself, without loading its weights.

    Args:
        folder: it may be relative.

    Returns:
        `PresetFolder`.

    Raises:
        FileNotFoundError: a file that a preset has is missing.
        ValueError: a file is damaged, or the network is none that `describe` proposes.
    """
    folder = folder.resolve()
    network = _read_json(folder, CONFIG, "a KerasHub preset folder")
    kind = BACKBONES.get(_class(network))
    if kind is None:
        raise ValueError(
            f"{folder / CONFIG}: must be of an encoder of images, texts or sounds that describe"
            " proposes, such as EfficientNetBackbone, BertBackbone or WhisperBackbone, received"
            f" {_class(network) or 'no KerasHub network'}"
        )
    beside = _read_json(folder, BESIDE[kind], f"a preset of a {_class(network)}")
    files = weights_files(folder)
    _check_weights(folder, files)
    settings = _settings(network)
    least = MANY_LANGUAGES.get(_class(beside))
    return PresetFolder(
        folder,
        kind,
        _class(network),
        least is not None and _number(settings, "vocabulary_size", 0) >= least,
        settings,
        _settings(beside),
        sum(file.stat().st_size for file in files),
    )


def check_preset(preset: PresetFolder) -> None:
    """Loads the network with its weights, and its tokenizer or converter.

    Raises:
        ValueError: KerasHub cannot load them.
    """
    # the import takes a second
    import keras_hub

    beside = {
        "image_converter.json": keras_hub.layers.ImageConverter,
        "tokenizer.json": keras_hub.tokenizers.Tokenizer,
        "audio_converter.json": keras_hub.layers.AudioConverter,
    }[BESIDE[preset.kind]]
    for kind in (beside, keras_hub.models.Backbone):
        try:
            loaded = kind.from_preset(str(preset.folder))
        # a damaged folder raises errors of any type
        except Exception as error:  # noqa: BLE001
            raise ValueError(
                f"{preset.folder}: KerasHub does not load its {kind.__name__}:"
                f" {' '.join(str(error).split())[:300]}"
            ) from error
    there = sum(map(_numbers, weights_files(preset.folder)))
    # of what a file lacks, Keras leaves random weights with a mere warning
    if there < loaded.count_params():
        raise ValueError(
            f"{preset.folder} must hold the {loaded.count_params():,} weights of its"
            f" {preset.backbone}, its files have {there:,} numbers"
        )


def weights_files(folder: pathlib.Path) -> list[pathlib.Path]:
    """The files of a preset's weights in a folder, sorted; empty where there are none."""
    return sorted({file for pattern in _WEIGHTS for file in folder.glob(pattern)})


def weights_digest(folder: pathlib.Path) -> str:
    """The SHA-256 of a preset's weights, in 64 hexadecimal digits.

    Of one file it is that file's, as `sha256sum` prints it; of several that of the lines
    `digest  name` of all. A file is read once in a process, in pieces, unless it changes.

    Raises:
        FileNotFoundError: the folder has no weights.
    """
    files = weights_files(folder)
    if not files:
        raise _no_weights(folder)
    digests = [file_digest(file) for file in files]
    if len(digests) == 1:
        return digests[0]
    lines = "".join(f"{digest}  {file.name}\n" for digest, file in zip(digests, files))
    return hashlib.sha256(lines.encode()).hexdigest()


def file_digest(file: pathlib.Path) -> str:
    """The SHA-256 of a file, in 64 hexadecimal digits; kept until its size or time changes."""
    stat = file.stat()
    return _digest(file.resolve(), stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _digest(file: pathlib.Path, size: int, time: int) -> str:
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _check_weights(folder: pathlib.Path, files: list[pathlib.Path]) -> None:
    if not files:
        raise _no_weights(folder)
    for file in files:
        if file.suffix != ".h5":
            continue
        try:
            # reads the header and compares the file's length with it
            h5py.File(file, "r").close()
        except OSError as error:
            raise ValueError(
                f"{file} is damaged, or was not fetched to its end: {' '.join(str(error).split())}"
            ) from error


def _numbers(file: pathlib.Path) -> int:
    """How many numbers a file of weights holds."""
    sizes: list[int] = []
    with h5py.File(file, "r") as opened:
        opened.visititems(lambda name, one: sizes.append(getattr(one, "size", 0)))
    return sum(sizes)


def _no_weights(folder: pathlib.Path) -> FileNotFoundError:
    return FileNotFoundError(f"{folder} has no weights: {_WEIGHTS[0]} is missing")


def _read_json(folder: pathlib.Path, name: str, what: str) -> dict[str, Any]:
    file = folder / name
    if not file.is_file():
        raise FileNotFoundError(f"{folder} must be {what}, {name} is missing")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is damaged: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{file} is damaged: it must hold an object of JSON")
    return content


def _class(content: dict[str, Any]) -> str:
    """The class that Keras' serialized configuration names; "" of any other content."""
    name = content.get("class_name")
    return name if isinstance(name, str) and "registered_name" in content else ""


def _settings(content: dict[str, Any]) -> dict[str, Any]:
    settings = content.get("config")
    return settings if isinstance(settings, dict) else {}


def _number(settings: dict[str, Any], name: str, otherwise: int) -> int:
    value = settings.get(name)
    return value if isinstance(value, int) else otherwise
