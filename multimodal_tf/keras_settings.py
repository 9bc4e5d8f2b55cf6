"""What Keras is set to by its environment and `keras.json`, read before it is imported."""

import contextlib
import json
import os
import pathlib


def check_backend() -> None:
    """Checks that Keras will run on TensorFlow.

    Raises:
        ImportError: `KERAS_BACKEND`, or `backend` in `keras.json`, names another backend.
    """
    home = os.environ.get("KERAS_HOME") or pathlib.Path.home() / ".keras"
    file = pathlib.Path(home) / "keras.json"
    source, backend = "KERAS_BACKEND", os.environ.get("KERAS_BACKEND")
    if not backend:
        source, backend = f"backend in {file}", "tensorflow"
        # Keras, too, goes by its defaults where there is no such file or field
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
            backend = json.loads(file.read_text())["backend"]
    if backend != "tensorflow":
        raise ImportError(
            f"multimodal_tf runs on TensorFlow: {source} must be tensorflow, received {backend!r}"
        )
