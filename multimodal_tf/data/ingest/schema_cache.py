"""The schema beside the shards, fitted again only where what it depends on has changed."""

import hashlib
import pathlib

from multimodal_tf.config import Config
from multimodal_tf.data import atomic, record_files
from multimodal_tf.data.filesystem import Path, PathLike, to_path
from multimodal_tf.data.fit_schema import fit_schema
from multimodal_tf.data.ingest.record_settings import check_records, record_settings
from multimodal_tf.data.kinds import kind_of
from multimodal_tf.data.manifest import Manifest
from multimodal_tf.schema import Schema

FILE = "schema.json"
# a hash of what the schema was fitted on
_SOURCE = pathlib.Path(record_files.PARTS, "schema.txt")


def schema_for(config: Config, records: PathLike) -> Schema:
    """The schema that the training split gives for a configuration.

    It is the one that `ingest` wrote, unless that was fitted for other tokenizers, vectors or
    columns; then it is fitted anew and not written.

    Raises:
        FileNotFoundError: the manifest or a shard is missing.
        ValueError: as `fit_schema`; or the shards do not hold what the configuration reads.
    """
    path = to_path(records)
    check_records(config, path)
    if _is_fitted(path, _source(config, Manifest.load(path).hash)):
        return Schema.load(path / FILE)
    return fit_schema(config, path)


def refresh(config: Config, records: Path, content_hash: str) -> None:
    """Writes the schema, unless the existing one was fitted on the same."""
    source = _source(config, content_hash)
    if not _is_fitted(records, source):
        schema = fit_schema(config, records)
        atomic.write_text(records / FILE, schema.model_dump_json(indent=1))
        atomic.write_text(records / _SOURCE, source)


def _is_fitted(records: Path, source: str) -> bool:
    mark = records / _SOURCE
    return (records / FILE).is_file() and mark.is_file() and mark.read_text() == source


def _source(config: Config, content_hash: str) -> str:
    """A hash of all that a schema depends on."""
    of_inputs = {
        name: kind_of(one).stats_settings(config.seed) for name, one in config.inputs.items()
    }
    settings = [(name, *values) for name, values in of_inputs.items() if values]
    settings += [(name, one.declared_classes) for name, one in config.heads.items() if one.ordered]
    settings += [
        (name, *one.stats_settings) for name, one in config.heads.items() if one.stats_settings
    ]
    source = f"{content_hash} {record_settings(config)} {settings}"
    return hashlib.sha256(source.encode()).hexdigest()
