"""Loads a `.keras` file in Keras' safe mode; whatever is wrong with it is one sentence."""

import os

import keras

from multimodal_tf.config.zip_size import check_size


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
    check_size(path)
    try:
        model: keras.Model = keras.saving.load_model(path, compile=compiled, safe_mode=True)
    # Keras may raise anything on a damaged file.
    except Exception as error:  # noqa: BLE001
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error
    return model
