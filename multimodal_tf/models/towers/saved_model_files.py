"""Fetches a SavedModel from a folder, an archive or a handle, and checks a copy of its files.

A SavedModel is a program, and TensorFlow runs it in this process. Operations that access files or
the network are refused (`saved_model.check`), here and when a `.keras` file with a SavedModel
in it is loaded. But this is no sandbox: a graph can still use all memory and time.
Load only SavedModels, and `.keras` files that contain one, from a trusted source.
"""

import contextlib
import hashlib
import pathlib
import shutil
import tarfile
import tempfile
import urllib.parse
import urllib.request
import weakref
import zlib
from collections.abc import Iterator

from multimodal_tf.config.saved_model.check import GRAPH, check, check_files, parse
from multimodal_tf.models.towers.pretrained import one_line

# bytes, of an archive's members together
MAX_BYTES = 16 * 2**30
MAX_MEMBERS = 10_000
_FOLDERS = ("variables", "assets")
# `Files` by digest, as long as some layer refers to them
_held: "weakref.WeakValueDictionary[str, Files]" = weakref.WeakValueDictionary()


class Files:
    """A copy of a SavedModel in a temporary folder, removed together with this object.

    Attributes:
        digest: str. SHA-256 over names and contents.
        folder: `pathlib.Path`.
    """

    def __init__(self, digest: str, temporary: "tempfile.TemporaryDirectory[str]") -> None:
        self.digest, self._temporary = digest, temporary
        self.folder = pathlib.Path(temporary.name)

    def write(self, folder: str) -> None:
        """Copies the files into `folder`."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)


def held(digest: str) -> Files | None:
    """The `Files` of this digest, or None if no layer of this process has them."""
    return _held.get(digest)


def fetch(path: str, field: str) -> Files:
    """Fetches a SavedModel and checks a copy of it.

    Args:
        path: str. A folder; a `.tar.gz` or `.tgz` of one; either as `file://...`; or another handle
            with `://`, which TensorFlow Hub resolves: it downloads into its own cache, by its own
            rules, and unpacks there.
        field: str. For errors.

    Returns:
        `Files`.

    Raises:
        FileNotFoundError: nothing is at `path`.
        ValueError: it is no SavedModel; its graph accesses other files or calls Python or another
            machine; it holds a link, or an asset is outside of its folder; an archive is damaged,
            too large, or has a member outside its folder; `tensorflow-hub` is needed and not
            installed.
    """
    with _folder(path, field) as folder:
        return copy_checked(_root(folder, path, field), field)


def copy_checked(folder: pathlib.Path, field: str) -> Files:
    """Copies the SavedModel in `folder` and checks it. Raises ValueError as `fetch`."""
    temporary = tempfile.TemporaryDirectory(prefix="multimodal_tf-saved_model-")
    target = pathlib.Path(temporary.name)
    try:
        check_files(folder)
    except ValueError as error:
        raise ValueError(f"{field}: {error}") from error
    parts = [part for part in _FOLDERS if (folder / part).is_dir()]
    graph = _checked(folder, field)
    for part in parts:
        shutil.copytree(folder / part, target / part)
    (target / GRAPH).write_bytes(graph)
    digest = _digest(target)
    files = _held.get(digest)
    if files is None:
        files = _held[digest] = Files(digest, temporary)
    return files


@contextlib.contextmanager
def _folder(path: str, field: str) -> Iterator[pathlib.Path]:
    """The folder at `path`; an unpacked one is removed at the end of the block."""
    # TensorFlow Hub would return such a handle unchanged.
    if path.startswith("file://"):
        path = urllib.request.url2pathname(urllib.parse.urlsplit(path).path)
    if "://" in path:
        yield _resolved(path, field)
    elif pathlib.Path(path).is_dir():
        yield pathlib.Path(path)
    elif not pathlib.Path(path).exists():
        raise FileNotFoundError(
            f"{field}: must be a folder, a .tar.gz or a handle such as https://..., nothing is at"
            f" {path!r}"
        )
    elif path.endswith((".tar.gz", ".tgz")):
        with tempfile.TemporaryDirectory(prefix="multimodal_tf-archive-") as folder:
            _unpack(path, folder, field)
            yield pathlib.Path(folder)
    else:
        raise ValueError(
            f"{field}: a file must be a .tar.gz or .tgz of a SavedModel, received {path!r}"
        )


def _resolved(handle: str, field: str) -> pathlib.Path:
    try:
        # Imported here because it is an extra, and imports another Keras.
        import tensorflow_hub
    except ImportError as error:
        raise ValueError(
            f"{field}: the handle {handle!r} needs tensorflow-hub, which cannot be imported"
            f" ({error}): pip install 'multimodal_tf[tfhub]'"
        ) from error
    try:
        found = pathlib.Path(tensorflow_hub.resolve(handle))
    # A download may raise anything.
    except Exception as error:  # noqa: BLE001
        raise ValueError(
            f"{field}: TensorFlow Hub does not resolve {handle!r}: {one_line(error)}"
        ) from error
    # It returns an unknown handle unchanged.
    if not found.is_dir():
        raise ValueError(f"{field}: TensorFlow Hub does not know how to read {handle!r}")
    return found


def _unpack(path: str, folder: str, field: str) -> None:
    size = 0
    try:
        with tarfile.open(path, "r:gz") as archive:
            for number, member in enumerate(archive, start=1):
                size += member.size
                if size > MAX_BYTES or number > MAX_MEMBERS:
                    raise ValueError(
                        f"{field}: an archive may hold {MAX_BYTES} bytes in {MAX_MEMBERS} members,"
                        f" {path!r} holds more"
                    )
                _extract(archive, member, pathlib.Path(folder).resolve())
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ValueError(
            f"{field}: the archive {path!r} is damaged or unsafe: {one_line(error)}"
        ) from error


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: pathlib.Path) -> None:
    """Extracts a folder or file; refuses links, devices and paths outside of `folder`.

    The standard library's `filter="data"` came with Python 3.11.4; Debian 12 has 3.11.2.
    """
    target = (folder / member.name).resolve()
    if not target.is_relative_to(folder):
        raise tarfile.TarError(f"{member.name!r} would be written outside of its folder")
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    source = archive.extractfile(member) if member.isreg() else None
    if source is None:
        raise tarfile.TarError(f"{member.name!r} is neither a file nor a folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    with source, target.open("wb") as file:
        shutil.copyfileobj(source, file)


def _root(folder: pathlib.Path, path: str, field: str) -> pathlib.Path:
    """`folder`, or the only folder in it, which most archives have."""
    inside = [entry for entry in folder.iterdir() if entry.is_dir()]
    for root in (folder, *(inside if len(inside) == 1 else [])):
        if (root / GRAPH).is_file():
            return root
    found = sorted(entry.name for entry in folder.iterdir())[:5]
    raise ValueError(f"{field}: a SavedModel is a folder with {GRAPH}, {path!r} holds {found}")


def _checked(folder: pathlib.Path, field: str) -> bytes:
    """The bytes of a graph, checked, without the slot variables of an optimizer.

    TensorFlow 2.21 cannot load the slots of a Keras 2 optimizer, because that class is not
    registered any more («no attribute 'add_slot'»).
    """
    graph = (folder / GRAPH).read_bytes()
    try:
        model = parse(graph)
        check(model, folder)
    except ValueError as error:
        raise ValueError(f"{field}: {error}") from error
    with_slots = [
        node
        for meta in model.meta_graphs
        for node in meta.object_graph_def.nodes
        if node.slot_variables
    ]
    for node in with_slots:
        node.ClearField("slot_variables")
    return model.SerializeToString(deterministic=True) if with_slots else graph


def _digest(folder: pathlib.Path) -> str:
    found = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        found.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode() + content)
    return found.hexdigest()
