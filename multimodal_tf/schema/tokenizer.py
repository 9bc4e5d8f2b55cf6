"""The tokenizer that a schema holds, as KerasHub's."""

import base64
import pathlib
import tempfile
from collections.abc import Callable
from typing import Any

from multimodal_tf.schema import Subwords

# the package whose tokenizers a schema may hold
_TOKENIZERS = "keras_hub"


def restore_tokenizer(stats: Subwords) -> Any:
    """The KerasHub tokenizer that a schema holds.

    Raises:
        ValueError: it holds something else; only KerasHub's own classes are run.
    """
    # these imports take seconds, and other schemas do not need them
    import keras
    from keras_hub.tokenizers import Tokenizer as KerasHubTokenizer

    if not str(stats.layer.get("module", "")).startswith(_TOKENIZERS):
        raise ValueError(
            f"the schema must hold a tokenizer of {_TOKENIZERS},"
            f" received {stats.layer.get('class_name')!r}"
        )
    layer = _whole(keras.saving.deserialize_keras_object, stats.layer)
    if not isinstance(layer, KerasHubTokenizer):
        raise ValueError(
            f"the schema must hold a tokenizer of {_TOKENIZERS}, received {type(layer).__name__}"
        )
    with tempfile.TemporaryDirectory() as folder:
        for name, data in stats.assets.items():
            content = _whole(base64.b64decode, data)
            (pathlib.Path(folder) / pathlib.PurePath(name).name).write_bytes(content)
        _whole(layer.load_assets, folder)
    return layer


def _whole(read: Callable[[Any], Any], part: Any) -> Any:
    """What a function reads of a part of the schema."""
    try:
        return read(part)
    # KerasHub and TensorFlow raise errors of any type where it is damaged
    except Exception as error:  # noqa: BLE001
        raise ValueError(
            f"the schema's tokenizer is damaged: {' '.join(str(error).split())[:300]}"
        ) from error
