"""The settings that a record depends on, and whether records fit a configuration."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from multimodal_tf.config import Config
from multimodal_tf.config.column import Column
from multimodal_tf.config.heads import learns_without_labels, with_column
from multimodal_tf.config.inputs import Input
from multimodal_tf.data.filesystem import PathLike, to_path
from multimodal_tf.data.manifest import Manifest

# the configuration, beside the shards
CONFIG = "config.yaml"
# increased when the same cell gives other bytes, so that older shards are written again
_FORMAT = 3


def record_settings(config: Config) -> str:
    """JSON of all settings of a configuration that a record depends on."""
    groups: dict[str, Mapping[str, Any]] = {
        "inputs": recorded_inputs(config),
        "heads": with_column(config.heads),
    }
    settings = {
        group: {name: _settings_of(name, one) for name, one in configs.items()}
        for group, configs in groups.items()
    }
    kept = ["rows without labels"] if keeps_unlabelled(config) else []
    gaps = [{"missing": sorted(config.missing)}] if config.missing else []
    return json.dumps([_FORMAT, *kept, *gaps, settings], sort_keys=True)


def settings_hash(config: Config) -> str:
    """A hash of `record_settings`, for the manifest."""
    return hashlib.sha256(record_settings(config).encode()).hexdigest()


def keeps_unlabelled(config: Config) -> bool:
    """Whether a row without any label is of use in training."""
    without = learns_without_labels(config.heads) or config.teacher is not None
    return without or not with_column(config.heads)


def recorded_inputs(config: Config) -> dict[str, Input]:
    """The inputs whose cells records hold: the model's, and those that its teacher alone reads."""
    return config.inputs | ({} if config.teacher is None else config.teacher.inputs)


def recorded_config(config: Config) -> Config:
    """The configuration whose inputs are those of the records."""
    return config.model_copy(update={"inputs": recorded_inputs(config)})


def check_records(config: Config, records: PathLike) -> Config:
    """Checks that records hold what a configuration reads, with the same settings.

    Returns:
        The configuration that `ingest` was given.

    Raises:
        FileNotFoundError: `records` has no manifest.
        ValueError: an input or head was ingested with other settings, or not at all.
    """
    manifest = Manifest.load(records)
    ingested = Config.load(to_path(records) / CONFIG)
    if settings_hash(ingested) != manifest.config_hash:
        raise ValueError(
            f"{records} was ingested by another version of multimodal_tf: ingest the table again"
        )
    if {*ingested.missing} != {*config.missing}:
        raise ValueError(
            f"missing: {records} was ingested with {ingested.missing}, received {config.missing}:"
            " ingest the table again"
        )
    theirs, ours = (json.loads(record_settings(one))[-1] for one in (ingested, config))
    for group, settings in ours.items():
        for name, wanted in settings.items():
            found = theirs[group].get(name)
            if found is None:
                raise ValueError(
                    f"{group}.{name}: {records} was ingested without it, with"
                    f" {sorted(theirs[group])}: ingest the table again"
                )
            if wanted != found:
                raise ValueError(
                    f"{group}.{name}: {records} was ingested with {found}, received {wanted}:"
                    " ingest the table again"
                )
    return ingested


def _settings_of(name: str, config: Column) -> dict[str, Any]:
    column = name if config.column is None else config.column
    fields = config.model_dump(include={"type", *config.cell_settings})
    return dict(sorted((fields | {"column": column}).items()))
