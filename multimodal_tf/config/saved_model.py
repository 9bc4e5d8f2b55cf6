"""Files that an exported SavedModel carries for its readers."""

import json
import os
import pathlib

# TensorFlow Serving leaves this folder of a SavedModel to its users
ASSETS = "assets.extra"
# in it: the model's configuration and schema
CONFIG_FILE, SCHEMA_FILE = "config.yaml", "schema.json"
# and, where the model has them, the thresholds of its guard and its temperatures by head
GUARD_FILE, TEMPERATURE_FILE = "guard.json", "temperature.json"


def load_temperatures(path: str | os.PathLike[str]) -> dict[str, float]:
    """The temperatures that an exported model applies, by head; empty where it applies none.

    Args:
        path: the folder of the SavedModel.

    Raises:
        ValueError: the file is not JSON.
    """
    file = pathlib.Path(path) / ASSETS / TEMPERATURE_FILE
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}
