"""`SearchIndex`: the vectors of one input of many rows, to be found by another input."""

import dataclasses
import os
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from multimodal_tf.config.zip_size import check_size
from multimodal_tf.data import atomic
from multimodal_tf.scoring.nearest import nearest

# the columns of a Parquet file, the arrays of a NumPy file
ROW, VECTOR = "row", "vector"
_FACTS = ("head", "input", "model")
_SUFFIXES = (".npz", ".parquet")
# of a vector of length 1, and rounding
_LARGEST = 1.001


@dataclasses.dataclass(frozen=True, eq=False)
class SearchIndex:
    """The vectors of one input of many rows, in the space of an alignment head.

    Its file is NumPy's (`.npz`: `vector` float32 `(n, dim)`, `row` int64 `(n,)`) or Parquet's (the
    same as columns), so that FAISS or ScaNN can take the vectors: they have length 1, and the
    scalar product is the cosine.

    Args:
        head: name of the head.
        input: name of the input.
        model: hash of the exported model that gave the vectors.
        rows: int64 `(n,)`, numbers of the rows that have the input.
        vectors: float32 `(n, dim)`, of length 1.

    Raises:
        ValueError: the shapes disagree, or a number is not finite or beyond -1..1.

    Example:
        >>> index = SearchIndex("space", "photo", "", [4, 7], [[1.0, 0.0], [0.0, 1.0]])
        >>> rows, cosines = index.nearest([[0.6, 0.8]], first=1)
        >>> rows.tolist()
        [[7]]
    """

    head: str
    input: str
    model: str
    rows: np.ndarray
    vectors: np.ndarray

    def __post_init__(self) -> None:
        vectors = np.asarray(self.vectors, np.float32)
        rows = np.asarray(self.rows, np.int64)
        if vectors.ndim != 2 or rows.shape != vectors.shape[:1]:
            raise ValueError(
                "vectors must have the shape (n, dim) and rows (n,), "
                f"received {vectors.shape} and {rows.shape}"
            )
        if not np.isfinite(vectors).all():
            raise ValueError("vectors must be finite numbers, received NaN or infinity")
        # in a damaged file they may be so large that cosines overflow
        if np.abs(vectors).max(initial=0) > _LARGEST:
            raise ValueError(
                "vectors must have length 1, with numbers from -1 to 1, "
                f"received {np.abs(vectors).max():g}"
            )
        object.__setattr__(self, "vectors", vectors)
        object.__setattr__(self, "rows", rows)

    def nearest(self, queries: np.ndarray, first: int = 10) -> tuple[np.ndarray, np.ndarray]:
        """The rows whose vectors have the largest cosines with each query; exact, in blocks.

        Args:
            queries: float `(n, dim)`, of length 1.
            first: how many rows of each query.

        Returns:
            int64 numbers of rows and float32 cosines, `(n, min(first, rows))`, best first.

        Raises:
            ValueError: `first` is below 1, or the queries are of another width.
        """
        asked = np.asarray(queries, np.float32)
        if first < 1:
            raise ValueError(f"first must be 1 or more, received {first}")
        if asked.ndim != 2 or asked.shape[1] != self.vectors.shape[1]:
            raise ValueError(
                f"queries must have the shape (n, {self.vectors.shape[1]}), received {asked.shape}"
            )
        place, cosines = nearest(asked, self.vectors, first)
        return self.rows[place], cosines

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a `.npz` or `.parquet` file, whole or not at all.

        Raises:
            ValueError: the path has another ending.
        """
        path = check_suffix(path)
        facts = {name: getattr(self, name) for name in _FACTS}
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic.full_disk_explained(path, resumes=False), atomic.replacing(path) as temporary:
            if path.suffix == ".npz":
                arrays = {ROW: self.rows, VECTOR: self.vectors}
                with temporary.open("wb") as file:
                    np.savez(file, **arrays, **facts)  # type: ignore[arg-type]
                return
            numbers = pa.array(self.vectors.reshape(-1))
            vectors = pa.FixedSizeListArray.from_arrays(numbers, self.vectors.shape[1])
            table = pa.table({ROW: self.rows, VECTOR: vectors})
            pa.parquet.write_table(table.replace_schema_metadata(facts), temporary)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "SearchIndex":
        """Reads a file that `save` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is another file, or damaged.
        """
        path = check_suffix(path)
        if not path.is_file():
            raise FileNotFoundError(f"{path}: there is no such file")
        try:
            return cls(*(_of_numpy(path) if path.suffix == ".npz" else _of_parquet(path)))
        # NumPy's and Arrow's readers may raise anything on a damaged file
        except Exception as error:  # noqa: BLE001
            raise ValueError(
                f"{path} must be an index that SearchIndex.save wrote, received another file: "
                f"{' '.join(str(error).split()) or type(error).__name__}"
            ) from error


def _of_numpy(path: pathlib.Path) -> tuple[str, str, str, np.ndarray, np.ndarray]:
    check_size(path)
    with np.load(path, allow_pickle=False) as found:
        head, name, model = (str(found[fact]) for fact in _FACTS)
        return head, name, model, found[ROW], found[VECTOR]


def _of_parquet(path: pathlib.Path) -> tuple[str, str, str, np.ndarray, np.ndarray]:
    table = pa.parquet.read_table(path).combine_chunks()
    facts = table.schema.metadata or {}
    head, name, model = (facts[fact.encode()].decode() for fact in _FACTS)
    dim = table.schema.field(VECTOR).type.list_size
    chunks = table[VECTOR].chunks
    numbers = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in chunks]
    vectors = np.concatenate([*numbers, np.empty(0, np.float32)]).reshape(-1, dim)
    return head, name, model, table[ROW].to_numpy(), vectors


def check_suffix(path: str | os.PathLike[str]) -> pathlib.Path:
    """The path, if it has the ending of an index."""
    path = pathlib.Path(path)
    if path.suffix not in _SUFFIXES:
        raise ValueError(f"an index is a .npz or .parquet file, received {str(path)!r}")
    return path
