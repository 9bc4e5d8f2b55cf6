"""Files that an exported SavedModel carries for its readers."""

import math
import os
import pathlib

from multimodal_tf.config.json_files import read_object

# TensorFlow Serving leaves this folder of a SavedModel to its users
ASSETS = "assets.extra"
# in it: the model's configuration and schema
CONFIG_FILE, SCHEMA_FILE = "config.yaml", "schema.json"
# and, where the model has them, the thresholds of its guard and its temperatures by head
GUARD_FILE, TEMPERATURE_FILE = "guard.json", "temperature.json"
# and the classes that it chooses by their names
ZERO_SHOT_FILE = "zero_shot.json"


def load_temperatures(path: str | os.PathLike[str]) -> dict[str, float]:
    """The temperatures that an exported model applies, by head; empty where it applies none.

    Args:
        path: the folder of the SavedModel.

    Raises:
        ValueError: the file does not hold numbers above 0 by head, as JSON.
    """
    file = pathlib.Path(path) / ASSETS / TEMPERATURE_FILE
    if not file.is_file():
        return {}
    try:
        content = read_object(file, "temperatures")
    except ValueError:
        content = None
    if content is None or not all(map(_is_temperature, content.values())):
        raise ValueError(
            f"{file} is damaged, export the model again: it must hold a number above 0 for each"
            " head, as JSON"
        )
    return content


def _is_temperature(value: object) -> bool:
    return isinstance(value, int | float) and 0 < value < math.inf
