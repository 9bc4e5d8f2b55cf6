"""The shards of each split that ingest wrote, with sizes and hashes: `manifest.json`."""

import pathlib
from typing import Annotated

import pydantic

from multimodal_tf.config.json_files import read_model
from multimodal_tf.data.filesystem import Path, PathLike, to_path

FILE = "manifest.json"
VERSION = 1


ShardName = Annotated[
    str, pydantic.Field(pattern=r"^(\.\./rows/)?[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=200)
]
Count = Annotated[int, pydantic.Field(ge=0, le=2**50)]


class Shard(pydantic.BaseModel):
    """One TFRecord file of rows in table order."""

    # in the manifest's folder, or of a cross-validation in the folder `rows` beside it: no other
    file: ShardName
    rows: Count
    bytes: Count
    sha256: str


class Manifest(pydantic.BaseModel):
    """The shards of a folder of records.

    Example:
        >>> shard = Shard(file="train-00000.tfrecord", rows=2, bytes=90, sha256="00")
        >>> manifest = Manifest(table="pets.csv", config_hash="", splits={"train": [shard]},
        ...                     table_rows=3, kept=2, rejected=1, hash="")
        >>> manifest.rows("train")
        2
    """

    version: int = VERSION
    # its name, for messages
    table: str
    # the arguments by which `read_table` read it, besides its name and root
    table_options: dict[str, str] = {}
    # of all settings of the configuration that a record depends on
    config_hash: str
    splits: dict[str, list[Shard]]
    table_rows: Count
    # rows in the shards
    kept: Count
    # cells in the list of rejected cells
    rejected: Count
    # of the shards' contents
    hash: str
    _records: Path = pydantic.PrivateAttr(default=pathlib.Path("."))

    def shards(self, split: str) -> list[Path]:
        """The paths of a split's shards in table order; none where the split is empty."""
        return [self._records / shard.file for shard in self.splits.get(split, [])]

    def rows(self, split: str) -> int:
        """The number of rows of a split; 0 where it is empty."""
        return sum(shard.rows for shard in self.splits.get(split, []))

    @classmethod
    def load(cls, records: PathLike) -> "Manifest":
        """Reads `manifest.json` in a folder of records.

        Raises:
            FileNotFoundError: it does not exist, so ingest has not ended there.
            ValueError: it is not a manifest, names a file elsewhere, or has another version.
        """
        path = to_path(records) / FILE
        if not path.is_file():
            raise FileNotFoundError(
                f"{records} has no {FILE}: ingest a table there first, to the end"
            )
        manifest = read_model(path, cls, "a manifest")
        if manifest.version != VERSION:
            raise ValueError(
                f"{path} must have version {VERSION}, received {manifest.version}:"
                " ingest the table again"
            )
        manifest._records = path.parent
        return manifest

    def save(self, records: PathLike) -> None:
        """Writes `manifest.json` into a folder of records."""
        self._records = to_path(records)
        (self._records / FILE).write_text(self.model_dump_json(indent=1), encoding="utf-8")
