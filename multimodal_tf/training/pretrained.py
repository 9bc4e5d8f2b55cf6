"""The pretrained weights of a configuration, named by their digests."""

import importlib.util
import pathlib

from multimodal_tf.config import Config, FramesTower, KerasTower, PresetDecoder, PresetTower
from multimodal_tf.data.presets.find import cache_folder
from multimodal_tf.data.presets.folder import file_digest, weights_digest, weights_files


def pretrained_digests(config: Config) -> dict[str, str]:
    """The SHA-256 of the weights that a configuration's pretrained towers and decoders begin with.

    Args:
        config: `Config`. Its towers may have been built, so that what a hub has is in its cache.

    Returns:
        By `preset` of each preset, or `path` of each `.keras` file: of the weights file as
        `sha256sum` prints it; of several files that of the lines `digest  name`. A handle whose
        files are in no cache of this machine, and a SavedModel, are left out.

    Raises:
        OSError: a file cannot be read.

    Example:
        >>> from multimodal_tf.config import ClassificationHead, NumberInput
        >>> heads = {"label": ClassificationHead()}
        >>> pretrained_digests(Config(inputs={"price": NumberInput()}, heads=heads))
        {}
    """
    digests = {}
    for head in config.heads.values():
        decoder = getattr(head, "decoder", None)
        folder = _folder(decoder.preset) if isinstance(decoder, PresetDecoder) else None
        if isinstance(decoder, PresetDecoder) and folder is not None:
            digests[decoder.preset] = weights_digest(folder)
    for input_config in config.inputs.values():
        tower: object = input_config.tower
        match tower.frame if isinstance(tower, FramesTower) else tower:
            case PresetTower(preset=name, weights=True):
                folder = _folder(name)
                if folder is not None:
                    digests[name] = weights_digest(folder)
            case KerasTower(path=name) if pathlib.Path(name).is_file():
                digests[name] = file_digest(pathlib.Path(name))
    return digests


def _folder(preset: str) -> pathlib.Path | None:
    """Where a preset's weights are on this machine; None: nowhere."""
    # the import takes a second, and the towers have done it
    import keras_hub

    given = pathlib.Path(preset)
    if given.is_dir():
        return given
    builtin = keras_hub.models.Backbone.presets.get(preset, {})
    scheme, _, handle = str(builtin.get("kaggle_handle", preset)).partition("://")
    folder = None
    if scheme == "kaggle":
        folder = _latest(cache_folder() / "models" / handle)
    elif scheme == "hf" and importlib.util.find_spec("huggingface_hub") is not None:
        import huggingface_hub

        config = huggingface_hub.try_to_load_from_cache(handle, "config.json")
        folder = pathlib.Path(config).parent if isinstance(config, str) else None
    return folder if folder is not None and weights_files(folder) else None


def _latest(folder: pathlib.Path) -> pathlib.Path:
    """A handle may leave out the version, which is then the latest one."""
    versions = [path for path in folder.glob("*") if path.name.isdigit()]
    return max(versions, key=lambda path: int(path.name), default=folder)
