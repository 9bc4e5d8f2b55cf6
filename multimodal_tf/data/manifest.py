"""What ingest wrote: the shards of each split, their sizes and hashes, as the file `manifest.json`
beside them.
"""

import pathlib

import pydantic
import upath

from multimodal_tf.data.filesystem import to_path

FILE = "manifest.json"
VERSION = 1


class Shard(pydantic.BaseModel):
    """One TFRecord file of rows in table order."""

    # relative to the manifest's directory
    file: str
    rows: int
    bytes: int
    sha256: str


class Manifest(pydantic.BaseModel):
    """The shards of a directory.

    Example:
        >>> shard = Shard(file="train-00000.tfrecord", rows=2, bytes=90, sha256="00")
        >>> Manifest(table="pets.csv", config_hash="", splits={"train": [shard]}, table_rows=3, kept=2, rejected=1, hash="").rows("train")
        2
    """

    version: int = VERSION
    # its name, for messages
    table: str
    # of all in the configuration that a record depends on
    config_hash: str
    splits: dict[str, list[Shard]]
    table_rows: int
    # rows in the shards
    kept: int
    # cells in the list of rejected cells
    rejected: int
    # of the shards' contents
    hash: str
    _directory: pathlib.Path | upath.UPath = pydantic.PrivateAttr(default=pathlib.Path("."))

    def shards(self, split) -> list[pathlib.Path | upath.UPath]:
        """The paths of a split's shards in table order; none where the split is empty."""
        return [self._directory / shard.file for shard in self.splits.get(split, [])]

    def rows(self, split) -> int:
        """The number of rows of a split; 0 where it is empty."""
        return sum(shard.rows for shard in self.splits.get(split, []))

    @classmethod
    def load(cls, directory) -> "Manifest":
        """Reads `manifest.json` in a directory.

        Raises:
            FileNotFoundError: there is none, so ingest has not ended there.
            ValueError: it is not a manifest, or one of another version.
        """
        path = to_path(directory) / FILE
        if not path.is_file():
            raise FileNotFoundError(
                f"{directory} has no {FILE}: ingest a table there first, to the end"
            )
        try:
            manifest = cls.model_validate_json(path.read_text(encoding="utf-8"))
        except (pydantic.ValidationError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is not a manifest: {' '.join(str(error).split())}") from error
        if manifest.version != VERSION:
            raise ValueError(
                f"{path} must have version {VERSION}, received {manifest.version}: ingest the table again"
            )
        manifest._directory = path.parent
        return manifest

    def save(self, directory):
        """Writes `manifest.json` into a directory."""
        self._directory = to_path(directory)
        (self._directory / FILE).write_text(self.model_dump_json(indent=1), encoding="utf-8")
