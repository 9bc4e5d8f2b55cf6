"""Operations of TensorFlow Text, which Python's TensorFlow does not know by itself."""

import pathlib

from multimodal_tf.config import Config, TextInput
from multimodal_tf.schema import Schema, Subwords


def needed(config: Config, schema: Schema) -> bool:
    """Whether the graph has operations of TensorFlow Text.

    Subword tokenizers have them, and a pretrained model that takes strings may.
    """
    return any(isinstance(stats, Subwords) for stats in schema.inputs.values()) or any(
        isinstance(one, TextInput) and one.tokenizer.type == "none"
        for one in config.inputs.values()
    )


def register(path: pathlib.Path) -> None:
    """Registers the operations of TensorFlow Text.

    TensorFlow Serving has them built in, Python's TensorFlow has not.
    """
    try:
        # only the import registers them, and it takes its time
        import tensorflow_text  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"{path} splits texts with TensorFlow Text, which is not installed: "
            "pip install tensorflow-text"
        ) from error
