"""A SavedModel reads no file but its assets: every operation of TensorFlow that takes a path."""

import re
import shutil

import pytest
import tensorflow as tf
from tensorflow.core.framework import op_def_pb2
from tensorflow.python.client import pywrap_tf_session

from multimodal_tf.config.saved_model.check import GRAPH, check, parse

# how arguments of operations that name files, addresses or the like are called
PATHS = re.compile(
    r"file|path|dir$|directory|prefix|address|urls?$|descriptor_source|scheme|checkpoint"
    r"|pattern|snapshot|output_stream|chunk|debug_ops"
)
# such arguments that name none
HARMLESS = {
    "CTCBeamSearchDecoder": "top_paths: of a search",
    "ExperimentalSetStatsAggregatorDataset": "counter_prefix: of a name",
    "SetStatsAggregatorDataset": "counter_prefix: of a name",
    "RegexFullMatch": "pattern: of a text",
    "RegexReplace": "pattern: of a text",
    "StaticRegexFullMatch": "pattern: of a text",
    "StaticRegexReplace": "pattern: of a text",
    "SparseTensorSliceDataset": "is_files",
    "TensorSliceDataset": "is_files: for sharding",
    # they are refused by what they hold, or where they run
    "PrintV2": "output_stream",
    "FixedUnigramCandidateSampler": "vocab_file",
    "DecodeProtoV2": "descriptor_source",
    "EncodeProto": "descriptor_source",
    "SaveV2": "by the saver alone",
    "RestoreV2": "by the saver alone",
    "MergeV2Checkpoints": "by the saver alone",
    "InitializeTableFromTextFile": "from an asset alone",
    "InitializeTableFromTextFileV2": "from an asset alone",
}
OPERATIONS = op_def_pb2.OpList.FromString(
    pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList())
)


def problem(folder):
    """Why a SavedModel is refused; "" if it is not."""
    try:
        check(parse((folder / GRAPH).read_bytes()), folder)
    except ValueError as error:
        return str(error)
    return ""


def problem_of_nodes(folder, *nodes):
    """As `problem`, of a graph with these nodes."""
    model = parse(b"")
    graph = model.meta_graphs.add().graph_def
    for number, (operation, attributes) in enumerate(nodes):
        node = graph.node.add(name=str(number), op=operation)
        for name, value in attributes.items():
            node.attr[name].s = value
    try:
        check(model, folder)
    except ValueError as error:
        return str(error)
    return ""


def test_every_operation_that_takes_a_path_is_refused(tmp_path):
    takes = [
        one.name
        for one in OPERATIONS.op
        if any(PATHS.search(argument.name) for argument in [*one.input_arg, *one.attr])
    ]
    assert len(takes) > 60
    allowed = {name for name in takes if not problem_of_nodes(tmp_path, (name, {}))}
    assert allowed - set(HARMLESS) == set()


@pytest.mark.parametrize(
    "name",
    str.split(
        "ReadFile WriteFile PyFunc EagerPyFunc PyFuncStateless TextLineDataset TFRecordDatasetV2"
        " SqlDataset SnapshotDatasetV2 DataServiceDatasetV4 RemoteCall RpcServer RpcClient"
        " WorkerHeartbeat Abort CreateSummaryFileWriter DatasetFromGraph LMDBReader"
    ),
)
def test_python_other_machines_and_hidden_graphs_are_refused(name, tmp_path):
    assert f"['{name}']" in problem_of_nodes(tmp_path, (name, {}))


@pytest.mark.parametrize(
    ("name", "attribute", "good", "bad"),
    [
        ("PrintV2", "output_stream", b"stderr", b"file:///tmp/x"),
        ("FixedUnigramCandidateSampler", "vocab_file", b"", b"/etc/passwd"),
        ("DecodeProtoV2", "descriptor_source", b"local://", b"/etc/passwd"),
        ("EncodeProto", "descriptor_source", b"bytes://xyz", b"../x"),
    ],
)
def test_an_attribute_may_hold_a_path(name, attribute, good, bad, tmp_path):
    assert problem_of_nodes(tmp_path, (name, {attribute: good})) == ""
    assert f"['{name}']" in problem_of_nodes(tmp_path, (name, {attribute: bad}))


class Words(tf.Module):
    """Looks words up in a table that is read from a file."""

    def __init__(self, file):
        super().__init__()
        initializer = tf.lookup.TextFileInitializer(
            file, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, -1
        )
        self.table = tf.lookup.StaticHashTable(initializer, -1)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def __call__(self, words):
        return {"index": self.table.lookup(words)}


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """The folder of a SavedModel with an asset."""
    folder = tmp_path_factory.mktemp("words")
    (folder / "words.txt").write_text("red\nblue\n")
    module = Words(str(folder / "words.txt"))
    tf.saved_model.save(module, folder / "saved", signatures=module.__call__)
    return folder / "saved"


def test_a_table_may_read_an_asset(words, tmp_path):
    assert problem(words) == ""
    # saved anew, its initializer calls that of the first one
    again = tf.saved_model.load(str(words))
    tf.saved_model.save(again, tmp_path / "again", signatures=again.signatures)
    assert problem(tmp_path / "again") == ""


def constant_path(folder, wrap):
    """A module whose table reads `/etc/passwd`."""

    class Table(tf.saved_model.experimental.TrackableResource):
        def _create_resource(self):
            return tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64)

        def _initialize(self):
            wrap(
                lambda: tf.raw_ops.InitializeTableFromTextFileV2(
                    table_handle=self.resource_handle,
                    filename="/etc/passwd",
                    key_index=-2,
                    value_index=-1,
                )
            )

    class Outer(tf.Module):
        def __init__(self):
            super().__init__()
            self.table = Table()

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def __call__(self, words):
            return words

    module = Outer()
    tf.saved_model.save(module, folder, signatures=module.__call__)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda run: run(),
        lambda run: tf.function(lambda: (run(), 0)[1])(),
        lambda run: tf.cond(tf.random.uniform([]) > 2, lambda: 0, lambda: (run(), 0)[1]),
    ],
    ids=["plainly", "in a function", "in a branch"],
)
def test_a_table_must_not_read_a_constant_path(wrap, tmp_path):
    constant_path(tmp_path / "saved", wrap)
    assert "['InitializeTableFromTextFileV2']" in problem(tmp_path / "saved")


def test_a_table_must_not_read_a_path_of_the_request(tmp_path):
    class Asked(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
        def __call__(self, path):
            table = tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64)
            tf.raw_ops.InitializeTableFromTextFileV2(
                table_handle=table, filename=path, key_index=-2, value_index=-1
            )
            return tf.raw_ops.LookupTableSizeV2(table_handle=table)

    module = Asked()
    tf.saved_model.save(module, tmp_path / "saved", signatures=module.__call__)
    assert "['InitializeTableFromTextFileV2']" in problem(tmp_path / "saved")


def test_functions_that_call_each_other_twice_are_followed_once(tmp_path):
    """Forty functions in a row have 2^40 paths."""
    model = parse(b"")
    meta = model.meta_graphs.add()
    meta.object_graph_def.nodes.add()
    names = [f"f{number}" for number in range(40)]
    for name, callee in zip(names, [*names[1:], None]):
        function = meta.graph_def.library.function.add()
        function.signature.name = name
        function.signature.input_arg.add(name="path")
        for number in range(2):
            if callee is None:
                node = function.node_def.add(name=str(number), op="InitializeTableFromTextFileV2")
                node.input.extend(["table", "path"])
            else:
                function.node_def.add(name=str(number), op=callee).input.append("path")
    # nothing calls the first function
    check(model, tmp_path)
    meta.object_graph_def.concrete_functions["f0"].CopyFrom(
        type(meta.object_graph_def.concrete_functions["f0"])()
    )
    with pytest.raises(ValueError, match="InitializeTableFromTextFileV2"):
        check(model, tmp_path)


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "..", ".", "", "gone.txt", "../variables", "a\0b"]
)
def test_an_asset_outside_is_refused(name, words, tmp_path):
    folder = tmp_path / "saved"
    shutil.copytree(words, folder)
    model = parse((folder / GRAPH).read_bytes())
    model.meta_graphs[0].asset_file_def[0].filename = name
    (folder / GRAPH).write_bytes(model.SerializeToString())
    assert problem(folder) == (
        f"an asset must be a file in the folder 'assets' of the SavedModel, received {name!r}"
    )


def test_an_asset_that_leads_outside_is_refused(words, tmp_path):
    folder = tmp_path / "saved"
    shutil.copytree(words, folder)
    (folder / "assets" / "words.txt").unlink()
    (folder / "assets" / "words.txt").symlink_to("/etc/passwd")
    assert "received 'words.txt'" in problem(folder)


def test_an_object_of_no_asset_is_damage(words, tmp_path):
    model = parse((words / GRAPH).read_bytes())
    (node,) = (
        one
        for one in model.meta_graphs[0].object_graph_def.nodes
        if one.WhichOneof("kind") == "asset"
    )
    node.asset.asset_file_def_index = 7
    with pytest.raises(ValueError, match="it has 1 assets, and an object is number 7"):
        check(model, words)


class TestTensorFlow1:
    """SavedModels without objects, as `tf.compat.v1` writes them."""

    def _saved(self, folder, init=None, output=None, asset=None):
        """Saves a variable; `init()` is run when it is loaded, `output(x)` when it is called."""
        v1 = tf.compat.v1
        with tf.Graph().as_default(), v1.Session() as session:
            x = v1.placeholder(tf.float32, [None], "x")
            weight = v1.get_variable("weight", [], use_resource=True)
            if asset is not None:
                path = tf.constant(str(asset))
                table = tf.lookup.StaticHashTable(
                    tf.lookup.TextFileInitializer(
                        path, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, -1
                    ),
                    -1,
                )
                x = x + tf.cast(table.size(), tf.float32)
            y = x * weight
            if output is not None:
                with tf.control_dependencies([output()]):
                    y = tf.identity(y)
            session.run(v1.global_variables_initializer())
            start = v1.tables_initializer() if init is None else init()
            builder = v1.saved_model.Builder(str(folder))
            builder.add_meta_graph_and_variables(
                session,
                ["serve"],
                {"serving_default": v1.saved_model.predict_signature_def({"x": x}, {"y": y})},
                assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
                main_op=start,
            )
            builder.save()

    def test_a_variable_and_a_table_from_an_asset(self, tmp_path):
        (tmp_path / "words.txt").write_text("red\nblue\n")
        self._saved(tmp_path / "saved", asset=tmp_path / "words.txt")
        assert problem(tmp_path / "saved") == ""
        model = parse((tmp_path / "saved" / GRAPH).read_bytes())
        packed, *_ = model.meta_graphs[0].collection_def["saved_model_assets"].any_list.value
        packed.value = packed.value.replace(b"words.txt", b"../../abc")
        with pytest.raises(ValueError, match=r"an asset must be .* received '../../abc'"):
            check(model, tmp_path / "saved")

    def test_a_constant_path(self, tmp_path):
        def read():
            return tf.raw_ops.InitializeTableFromTextFileV2(
                table_handle=tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64),
                filename="/etc/passwd",
                key_index=-2,
                value_index=-1,
            )

        self._saved(tmp_path / "at the start", init=read)
        self._saved(tmp_path / "when called", output=read)
        for name in ("at the start", "when called"):
            assert "['InitializeTableFromTextFileV2']" in problem(tmp_path / name)

    def test_a_checkpoint_elsewhere(self, tmp_path):
        def write():
            return tf.raw_ops.SaveV2(
                prefix="/tmp/x",
                tensor_names=["x"],
                shape_and_slices=[""],
                tensors=[tf.constant(1.0)],
            )

        def restore():
            (value,) = tf.raw_ops.RestoreV2(
                prefix="/tmp/x", tensor_names=["x"], shape_and_slices=[""], dtypes=[tf.float32]
            )
            return value.op

        self._saved(tmp_path / "a", init=write)
        self._saved(tmp_path / "b", output=write)
        self._saved(tmp_path / "c", output=restore)
        for name, operation in {"a": "SaveV2", "b": "SaveV2", "c": "RestoreV2"}.items():
            assert f"['{operation}']" in problem(tmp_path / name)

    def test_a_saver_that_restores_from_elsewhere(self, tmp_path):
        self._saved(tmp_path / "saved")
        model = parse((tmp_path / "saved" / GRAPH).read_bytes())
        (meta,) = model.meta_graphs
        (restore,) = (one for one in meta.graph_def.node if one.op == "RestoreV2")
        assert problem(tmp_path / "saved") == ""
        elsewhere = meta.graph_def.node.add(name="elsewhere", op="Const")
        restore.input[0] = elsewhere.name
        (tmp_path / "saved" / GRAPH).write_bytes(model.SerializeToString())
        assert "['RestoreV2']" in problem(tmp_path / "saved")
