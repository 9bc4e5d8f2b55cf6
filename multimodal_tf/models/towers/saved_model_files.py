"""Where the files of a SavedModel come from: a folder, an archive or a handle; and a checked copy
of them.

A SavedModel is a program, and TensorFlow runs it in this process. Operations that plainly leave the
network are refused, here and when a `.keras` file with a SavedModel in it is loaded, but that is no
sandbox: a graph can still take all memory and time, and TensorFlow has hundreds of operations. Only
SavedModels, and `.keras` files with one, of somebody who is trusted belong in a tower.
"""

import contextlib
import hashlib
import pathlib
import re
import shutil
import tarfile
import tempfile
import urllib.parse
import urllib.request
import weakref
import zlib

from multimodal_tf.models.towers.pretrained import line

# bytes, of an archive's members together
LARGEST = 16 * 2**30
# members of an archive
MOST = 10_000
GRAPH = "saved_model.pb"
_PARTS = (GRAPH, "variables", "assets")
# What a network has no reason to do: touch other files than its own (tables read theirs, in
# `assets`, by an operation that is not here), call Python or another machine, or run a graph that
# is hidden in a string.
_REFUSED = re.compile(
    r"ReadFile|WriteFile|Save|SaveSlices|Restore|RestoreSlice|ImmutableConst|LoadAndRemapMatrix|GenerateVocabRemapping|.*Reader(V2)?"
    r"|(Experimental)?(MatchingFiles|TextLine|FixedLengthRecord|TFRecord|LMDB|Sql|CSV|Cache|Save|Load|Snapshot|DataService)Dataset(V\d)?"
    r"|MatchingFiles|(Experimental)?DatasetToTFRecord|DatasetFromGraph|DistributedSave|RegisterDataset(V2)?|.*PyFunc.*|Remote.*"
    r"|CreateSummary.*Writer|Write.*Summary|Debug.*"
)
# These belong to what wrote and reads the variables, and nowhere else.
_CHECKPOINT = {"SaveV2", "RestoreV2", "MergeV2Checkpoints"}
# `Files` by digest, as long as some layer has them
_held: weakref.WeakValueDictionary = weakref.WeakValueDictionary()


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
        path: str. A folder; a `.tar.gz` or `.tgz` of one; either as `file://...`; or another handle
            with `://`, which TensorFlow Hub resolves: it downloads into its own cache, by its own
            rules, and unpacks there.
        field: str. For errors.

    Returns:
        `Files`.

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: it is no SavedModel, or not one that is taken: its graph reads or writes other
            files, or calls Python or another machine; an archive is damaged, has a member that
            would land outside of its folder, or is too large; `tensorflow-hub` is needed and not
            installed.
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
    # TensorFlow Hub gives it back as it is
    if path.startswith("file://"):
        path = urllib.request.url2pathname(urllib.parse.urlsplit(path).path)
    if "://" in path:
        yield _resolved(path, field)
    elif pathlib.Path(path).is_dir():
        yield pathlib.Path(path)
    elif not pathlib.Path(path).exists():
        raise FileNotFoundError(
            f"{field}: must be a folder, a .tar.gz or a handle such as https://..., nothing is at {path!r}"
        )
    elif path.endswith((".tar.gz", ".tgz")):
        with tempfile.TemporaryDirectory(prefix="multimodal_tf-archive-") as folder:
            _unpack(path, folder, field)
            yield pathlib.Path(folder)
    else:
        raise ValueError(
            f"{field}: a file must be a .tar.gz or .tgz of a SavedModel, received {path!r}"
        )


def _resolved(handle, field):
    try:
        # not at the top: an extra, and it imports another Keras
        import tensorflow_hub
    except ImportError as error:
        raise ValueError(
            f"{field}: the handle {handle!r} needs tensorflow-hub, which cannot be imported ({error}): pip install 'multimodal_tf[tfhub]'"
        ) from error
    try:
        found = pathlib.Path(tensorflow_hub.resolve(handle))
    except Exception as error:  # noqa: BLE001  whatever a download may raise
        raise ValueError(
            f"{field}: TensorFlow Hub does not resolve {handle!r}: {line(error)}"
        ) from error
    # what it does not know it gives back
    if not found.is_dir():
        raise ValueError(f"{field}: TensorFlow Hub does not know how to read {handle!r}")
    return found


def _unpack(path, folder, field):
    size = 0
    try:
        with tarfile.open(path, "r:gz") as archive:
            for number, member in enumerate(archive, start=1):
                size += member.size
                if size > LARGEST or number > MOST:
                    raise ValueError(
                        f"{field}: an archive may hold {LARGEST} bytes in {MOST} members, {path!r} holds more"
                    )
                _extract(archive, member, pathlib.Path(folder).resolve())
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ValueError(
            f"{field}: the archive {path!r} is damaged or not a safe one: {line(error)}"
        ) from error


def _extract(archive, member, folder):
    """Writes a folder or file of an archive, and refuses the rest: what lands elsewhere, links,
    devices.

    The standard library's `filter="data"` came with Python 3.11.4; Debian 12 has 3.11.2.
    """
    target = (folder / member.name).resolve()
    if not target.is_relative_to(folder):
        raise tarfile.TarError(f"{member.name!r} would land outside of its folder")
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    source = archive.extractfile(member) if member.isreg() else None
    if source is None:
        raise tarfile.TarError(f"{member.name!r} is neither a file nor a folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    with source, target.open("wb") as file:
        shutil.copyfileobj(source, file)


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

    TensorFlow 2.21 cannot load the slots of an optimizer of Keras 2, since nothing registers that
    class any more («no attribute 'add_slot'»).
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel()
    try:
        model.ParseFromString(graph)
    except DecodeError as error:
        raise ValueError(f"{field}: {GRAPH} is damaged: {line(error)}") from error
    found = sorted(set(_harmful(model)))
    if found:
        raise ValueError(
            f"{field}: a SavedModel must not touch other files or call Python, its graph has the operations {found}"
        )
    with_slots = [
        node
        for meta in model.meta_graphs
        for node in meta.object_graph_def.nodes
        if node.slot_variables
    ]
    for node in with_slots:
        node.ClearField("slot_variables")
    return model.SerializeToString(deterministic=True) if with_slots else graph


def _harmful(model):
    """The refused operations of a SavedModel: in its graph, and in the functions of its library,
    which is all that it can run.
    """
    for meta in model.meta_graphs:
        functions = {
            function.signature.name: function.node_def
            for function in meta.graph_def.library.function
        }
        for nodes in (meta.graph_def.node, *functions.values()):
            yield from {
                node.op for node in nodes if _REFUSED.fullmatch(node.op) or _prints_to_file(node)
            }
        for name in _reached(meta.object_graph_def.concrete_functions, functions):
            yield from {node.op for node in functions[name] if node.op in _CHECKPOINT}


def _prints_to_file(node):
    return node.op == "PrintV2" and node.attr["output_stream"].s.startswith(b"file://")


def _reached(names, functions):
    """Names of the functions that are called from those of `names`, themselves among them."""
    found: set = set()
    waiting = [*names]
    while waiting:
        name = waiting.pop()
        if name in functions and name not in found:
            found.add(name)
            for node in functions[name]:
                waiting.append(node.op)
                waiting += [
                    called.name
                    for value in node.attr.values()
                    for called in (value.func, *value.list.func)
                ]
    return found


def _digest(folder):
    found = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        found.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode() + content)
    return found.hexdigest()
