"""What the graph of a SavedModel may do in this process: it reads no other files than its own.

A network has no reason to access files other than its own, to call Python or another machine, to
end the process, or to run a graph that is hidden in a string. This is a list of operations, and no
sandbox: a graph can still use all memory and time.
"""

import pathlib
import re
import stat
from collections.abc import Iterator
from typing import Any

from multimodal_tf.config.saved_model.flow import Flow, assets_of

GRAPH = "saved_model.pb"
_ASSETS = "assets"
# what TensorFlow and this package read of a SavedModel
_READ = (GRAPH, "fingerprint.pb", "variables", _ASSETS, "assets.extra")
_REFUSED = re.compile(
    # files, checkpoints and their names
    r"ReadFile|WriteFile|MatchingFiles|RecordInput|ImmutableConst|DumpTensor|Skipgram"
    r"|Save|SaveSlices|Restore|RestoreSlice|DTensorRestoreV\d|DistributedSave"
    r"|LoadAndRemapMatrix|GenerateVocabRemapping|CalibrationStatisticsSaver"
    r"|FileSystemSetConfiguration|.*Reader(V2)?"
    # datasets of files or of another machine
    r"|(Experimental)?(MatchingFiles|TextLine|FixedLengthRecord|TFRecord|LMDB|Sql|CSV|Cache|Save"
    r"|Load|Snapshot|SnapshotChunk|ListSnapshotChunks|DataService)Dataset(V\d)?"
    r"|(Experimental)?DatasetToTFRecord|RegisterDataset(V2)?"
    # Python, other machines, the end of this process
    r"|.*PyFunc.*|Remote.*|Rpc.*|WorkerHeartbeat|Abort"
    # a graph in a string
    r"|DatasetFromGraph|MlirPassthroughOp|_XlaHostComputeMlir|_TPUCompileMlir"
    # logs
    r"|CreateSummary.*Writer|Write.*Summary|ImportEvent|Debug.*|Copy|CopyHost"
)
# operations that are refused where an attribute holds something else than this
_ATTRIBUTES = {
    "PrintV2": ("output_stream", re.compile(rb"(?!file://).*", re.DOTALL)),
    "FixedUnigramCandidateSampler": ("vocab_file", re.compile(rb"")),
    "DecodeProtoV2": ("descriptor_source", re.compile(rb"(local://)?|bytes://.*", re.DOTALL)),
    "EncodeProto": ("descriptor_source", re.compile(rb"(local://)?|bytes://.*", re.DOTALL)),
}
# allowed only in what saves and restores the variables
_CHECKPOINT = {"SaveV2", "RestoreV2", "MergeV2Checkpoints"}
# a lookup table from a file, which must be an asset
_TABLES = {"InitializeTableFromTextFile", "InitializeTableFromTextFileV2"}


def check_files(folder: pathlib.Path) -> None:
    """Checks that a SavedModel holds its files itself.

    A link may lead to any file, and a pipe never ends. A hard link is the file itself. The folder
    may be a link: its path was given by whoever trusts it.

    Args:
        folder: the SavedModel's folder.

    Raises:
        ValueError: a file that is read is a link, a device or a pipe.
    """
    for name in _READ:
        path = folder / name
        inside = sorted(path.rglob("*")) if path.is_dir() and not path.is_symlink() else []
        for each in (path, *inside):
            mode = each.lstat().st_mode if each.exists() or each.is_symlink() else stat.S_IFREG
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                what = "a link" if stat.S_ISLNK(mode) else "neither a file nor a folder"
                raise ValueError(
                    "a SavedModel must hold its files itself,"
                    f" {str(each.relative_to(folder))!r} is {what}"
                )


def parse(graph: bytes) -> Any:
    """The message `SavedModel` of the bytes of a `saved_model.pb`.

    Raises:
        ValueError: it is damaged.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel()
    try:
        model.ParseFromString(graph)
    except DecodeError as error:
        raise ValueError(f"{GRAPH} is damaged: {' '.join(str(error).split())}") from error
    return model


def check(model: Any, folder: pathlib.Path) -> None:
    """Checks what a SavedModel would do when it is loaded and called.

    Args:
        model: result of `parse`.
        folder: the SavedModel's folder.

    Raises:
        ValueError: an operation accesses other files, calls Python or another machine, or ends the
            process; or an asset is not a file inside of the folder.
    """
    found = sorted({name for meta in model.meta_graphs for name in _harmful(meta)})
    if found:
        raise ValueError(
            "a SavedModel must not access other files or call Python, its graph has the"
            f" operations {found}"
        )
    for meta in model.meta_graphs:
        _check_assets(meta, folder)


def _harmful(meta: Any) -> Iterator[str]:
    """The refused operations of a graph and the functions of its library."""
    flow = Flow(meta)
    for nodes in flow.bodies():
        operations = {node.op for node in nodes}
        yield from filter(_REFUSED.fullmatch, operations)
        if not operations.isdisjoint(_ATTRIBUTES):
            yield from (node.op for node in nodes if node.op in _ATTRIBUTES and _says_more(node))
    yield from (node.op for _, node in flow.running(_CHECKPOINT))
    yield from flow.restored_from_elsewhere(_CHECKPOINT)
    yield from flow.not_from_assets(_TABLES)


def _says_more(node: Any) -> bool:
    name, allowed = _ATTRIBUTES[node.op]
    return not allowed.fullmatch(node.attr[name].s)


def _check_assets(meta: Any, folder: pathlib.Path) -> None:
    inside = (folder / _ASSETS).resolve()
    for asset in assets_of(meta):
        path = pathlib.PurePosixPath(asset.filename)
        target = inside / path
        if (
            path.is_absolute()
            or ".." in path.parts
            or "\0" in asset.filename
            or not target.is_file()
            or not target.resolve().is_relative_to(inside)
        ):
            raise ValueError(
                f"an asset must be a file in the folder {_ASSETS!r} of the SavedModel, received"
                f" {asset.filename!r}"
            )
    for node in meta.object_graph_def.nodes:
        index = node.asset.asset_file_def_index
        if node.WhichOneof("kind") == "asset" and not 0 <= index < len(meta.asset_file_def):
            raise ValueError(
                f"{GRAPH} is damaged: it has {len(meta.asset_file_def)} assets, and an object is"
                f" number {index}"
            )
