"""Loads a `.keras` file in Keras' safe mode; whatever is wrong with it is one sentence."""

import os
import zipfile

import keras

# bytes of the unpacked members for each byte of the file, and in any case; Keras packs nothing
MAX_RATIO, MAX_UNPACKED = 10, 2**30


def load_keras_file(path: str | os.PathLike[str], compiled: bool = True) -> keras.Model:
    """The model in a `.keras` file.

    Args:
        path: of the file.
        compiled: whether it is compiled as it was.

    Raises:
        ValueError: the file is missing, no `.keras` file, damaged, or unpacks to far more than its
            size; or Keras' safe mode refuses a layer.
    """
    # Keras also reads HDF5, but without its safe mode.
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ValueError(" ".join(str(error).split())) from error
    if unpacked > max(MAX_UNPACKED, MAX_RATIO * os.path.getsize(path)):
        raise ValueError(f"it unpacks to {unpacked} bytes, far more than its size")
    try:
        model: keras.Model = keras.saving.load_model(path, compile=compiled, safe_mode=True)
    # Keras may raise anything on a damaged file.
    except Exception as error:  # noqa: BLE001
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error
    return model
