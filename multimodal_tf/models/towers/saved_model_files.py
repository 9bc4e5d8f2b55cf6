"""Where the files of a SavedModel come from: a folder, an archive or a handle; and a checked copy of them."""

import contextlib
import hashlib
import pathlib
import shutil
import tarfile
import tempfile
import weakref
import zlib

LARGEST = 16 * 2**30  # bytes, of an archive's members together
MOST = 10_000  # members of an archive
GRAPH = "saved_model.pb"
_PARTS = (GRAPH, "variables", "assets")
# What a network has no reason to do: touch other files than its own, or call Python. (Checkpoints are read by SaveV2 and RestoreV2, and the
# tables' files under `assets` by other operations yet.)
_REFUSED = {"WriteFile", "ReadFile", "MatchingFiles", "Save", "SaveSlices", "PyFunc", "PyFuncStateless", "EagerPyFunc"}
_held: weakref.WeakValueDictionary = weakref.WeakValueDictionary()  # `Files` by digest, as long as some layer has them


class Files:
    """A SavedModel in a folder of our own, which is removed when nobody holds this object any more.

    Attributes:
        digest: str. SHA-256 over names and contents.
        folder: `pathlib.Path`.
    """

    def __init__(self, digest, temporary):
        self.digest, self._temporary = digest, temporary
        self.folder = pathlib.Path(temporary.name)

    def write(self, folder):
        """Copies the files into `folder`."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)


def held(digest):
    """The `Files` of this digest, or None where no layer of this process has them."""
    return _held.get(digest)


def opened(path, field):
    """The files of a SavedModel.

    Args:
        path: str. A folder; a `.tar.gz` or `.tgz` of one; or a handle with `://`, which TensorFlow Hub resolves.
        field: str. For errors.

    Returns:
        `Files`.

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: it is no SavedModel, or not one that is taken: its graph reads or writes other files or calls Python; an archive is
            damaged, has a member that would land outside of its folder, or is too large; `tensorflow-hub` is needed and not installed.
    """
    with _folder(path, field) as folder:
        return kept(_root(folder, path, field), field)


def kept(folder, field):
    """Checks the SavedModel in `folder` and copies it. Raises ValueError as `opened`."""
    temporary = tempfile.TemporaryDirectory(prefix="multimodal_tf-saved_model-")
    target = pathlib.Path(temporary.name)
    for part in _PARTS:
        if (folder / part).is_dir():
            shutil.copytree(folder / part, target / part)
    (target / GRAPH).write_bytes(_checked((folder / GRAPH).read_bytes(), field))
    digest = _digest(target)
    files = _held.get(digest)
    if files is None:
        files = _held[digest] = Files(digest, temporary)
    return files


@contextlib.contextmanager
def _folder(path, field):
    """The folder that `path` names; one that had to be unpacked is removed at the end of the block."""
    if "://" in path:
        yield pathlib.Path(_resolved(path, field))
    elif pathlib.Path(path).is_dir():
        yield pathlib.Path(path)
    elif not pathlib.Path(path).exists():
        raise FileNotFoundError(f"{field}: must be a folder, a .tar.gz or a handle such as https://..., nothing is at {path!r}")
    elif path.endswith((".tar.gz", ".tgz")):
        with tempfile.TemporaryDirectory(prefix="multimodal_tf-archive-") as folder:
            _unpack(path, folder, field)
            yield pathlib.Path(folder)
    else:
        raise ValueError(f"{field}: a file must be a .tar.gz or .tgz of a SavedModel, received {path!r}")


def _resolved(handle, field):
    try:
        # not at the top: an extra, and it imports another Keras
        import tensorflow_hub
    except ImportError as error:
        raise ValueError(
            f"{field}: the handle {handle!r} needs tensorflow-hub, which cannot be imported ({error}): pip install 'multimodal_tf[tfhub]'"
        ) from error
    try:
        return tensorflow_hub.resolve(handle)
    except Exception as error:  # noqa: BLE001  whatever a download may raise
        raise ValueError(f"{field}: TensorFlow Hub does not resolve {handle!r}: {_line(error)}") from error


def _unpack(path, folder, field):
    size = 0
    try:
        with tarfile.open(path, "r:gz") as archive:
            for number, member in enumerate(archive, start=1):
                size += member.size
                if size > LARGEST or number > MOST:
                    raise ValueError(f"{field}: an archive may hold {LARGEST} bytes in {MOST} members, {path!r} holds more")
                archive.extract(member, folder, filter="data")  # refuses absolute names, `..`, links that lead out, devices
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{field}: the archive {path!r} is damaged or not a safe one: {_line(error)}") from error


def _root(folder, path, field):
    """`folder`, or the only folder in it, as most archives have one."""
    inside = [entry for entry in folder.iterdir() if entry.is_dir()]
    for root in (folder, *(inside if len(inside) == 1 else [])):
        if (root / GRAPH).is_file():
            return root
    found = sorted(entry.name for entry in folder.iterdir())[:5]
    raise ValueError(f"{field}: a SavedModel is a folder with {GRAPH}, {path!r} holds {found}")


def _checked(graph, field):
    """The bytes of a graph without what only its optimizer needed.

    TensorFlow 2.21 cannot load the slots of an optimizer of Keras 2, since nothing registers that class any more («no attribute
    'add_slot'»).
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel()
    try:
        model.ParseFromString(graph)
    except DecodeError as error:
        raise ValueError(f"{field}: {GRAPH} is damaged: {_line(error)}") from error
    found = sorted(set(_operations(model)) & _REFUSED)
    if found:
        raise ValueError(f"{field}: a SavedModel must not touch other files or call Python, its graph has the operations {found}")
    with_slots = [node for meta in model.meta_graphs for node in meta.object_graph_def.nodes if node.slot_variables]
    for node in with_slots:
        node.ClearField("slot_variables")
    return model.SerializeToString(deterministic=True) if with_slots else graph


def _operations(model):
    for meta in model.meta_graphs:
        yield from (node.op for node in meta.graph_def.node)
        for function in meta.graph_def.library.function:
            yield from (node.op for node in function.node_def)


def _digest(folder):
    found = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        found.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode() + content)
    return found.hexdigest()


def _line(error):
    """An error's text in one line."""
    return " ".join(str(error).split())[:300]
