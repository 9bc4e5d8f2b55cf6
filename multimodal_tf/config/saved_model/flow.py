"""Which nodes of a SavedModel's graph run, and where a tensor in it comes from."""

import functools
from collections.abc import Collection, Iterable, Iterator
from typing import Any

# They pass their first input on.
_SAME = {"Identity", "StopGradient"}
# They call a function with their own inputs.
_CALLS = {"PartitionedCall", "StatefulPartitionedCall"}
_ASSETS = "saved_model_assets"


class Flow:
    """The nodes of one graph and of the functions of its library.

    TensorFlow 2 loads the functions, TensorFlow 1 (a SavedModel without objects) the graph.

    Args:
        meta: message `MetaGraphDef`.
    """

    def __init__(self, meta: Any) -> None:
        self._meta = meta
        self._functions = {one.signature.name: one for one in meta.graph_def.library.function}

    def bodies(self) -> Iterator[Any]:
        """The nodes of the graph, then those of each function."""
        yield self._meta.graph_def.node
        for function in self._functions.values():
            yield function.node_def

    def running(self, operations: Collection[str]) -> Iterator[tuple[Any, Any]]:
        """Nodes of these operations that run when the SavedModel is loaded or called.

        The saver's do not count.

        Returns:
            Pairs `(function, node)`; None for a function: the node is in the graph.
        """
        for function in self._functions.values():
            found = [node for node in function.node_def if node.op in operations]
            if found and self._runs(function.signature.name):
                yield from ((function, node) for node in found)
        yield from ((None, node) for node in self._started if node.op in operations)

    def restored_from_elsewhere(self, operations: Collection[str]) -> Iterator[str]:
        """Of these operations those that a saver of TensorFlow 1 would run on files of its own."""
        saver = self._meta.saver_def
        if self._has_objects or not saver.restore_op_name:
            return
        own = _node_name(saver.filename_tensor_name)
        for name in self._ancestors([_node_name(saver.restore_op_name)]):
            node = self._nodes[name]
            if node.op in operations and (node.op != "RestoreV2" or self._source(node, 0) != own):
                yield node.op

    def not_from_assets(self, operations: Collection[str]) -> Iterator[str]:
        """Of these operations those whose file, the second input, may be another than an asset."""
        assets = {_node_name(one.tensor_info.name) for one in assets_of(self._meta)}
        # An asset's path is fed when the SavedModel is loaded, and not when it is called.
        when_called = set() if self._has_objects else set(self._ancestors(self._outputs()))
        for function, node in self.running(operations):
            if function is not None:
                fine = len(node.input) > 1 and self._is_asset(function, node.input[1])
            else:
                fine = self._source(node, 1) in assets and node.name not in when_called
            if not fine:
                yield node.op

    @functools.cached_property
    def _has_objects(self) -> bool:
        return bool(self._meta.object_graph_def.nodes)

    @functools.cached_property
    def _started(self) -> list[Any]:
        """The nodes of the graph that TensorFlow 1 runs; TensorFlow 2 runs none."""
        return (
            []
            if self._has_objects
            else [self._nodes[name] for name in self._ancestors(self._roots())]
        )

    def _runs(self, name: str) -> bool:
        """Whether a function is called by an object or by another function that runs."""
        waiting, seen = [name], {name}
        while waiting:
            called = waiting.pop()
            if called in self._meta.object_graph_def.concrete_functions:
                return True
            if any(called in _called_by(node) for node in self._started):
                return True
            callers = {caller.signature.name for caller, _ in self._callers(called)} - seen
            seen |= callers
            waiting += callers
        return False

    def _is_asset(self, function: Any, tensor: str) -> bool:
        """Whether a tensor of a function is an asset that each caller passes, or an object is."""
        waiting, seen = [(function, tensor)], set[tuple[str, int]]()
        while waiting:
            function, tensor = waiting.pop()
            own, arguments = function.signature.name, self._arguments(function)
            name = self._argument(function, tensor)
            if name not in arguments:
                return False
            index = arguments.index(name)
            if (own, index) in seen:
                continue
            seen.add((own, index))
            callers = [*self._callers(own)]
            if not all(_passes(node, own, index) for _, node in callers):
                return False
            bound = self._bound(own, len(arguments))
            if not (callers if bound is None else bound.get(index, False)):
                return False
            waiting += [(caller, node.input[index]) for caller, node in callers]
        return True

    def _arguments(self, function: Any) -> list[str]:
        return [one.name for one in function.signature.input_arg]

    def _argument(self, function: Any, tensor: str) -> str:
        """The name of the node or argument that a tensor of a function comes from."""
        nodes = {node.name: node for node in function.node_def}
        # as many steps at most as there are nodes: a damaged function may go in circles
        for _ in range(len(nodes) + 1):
            name = _node_name(tensor)
            if name not in nodes or nodes[name].op not in _SAME or not nodes[name].input:
                break
            tensor = nodes[name].input[0]
        return _node_name(tensor)

    def _bound(self, name: str, arguments: int) -> dict[int, bool] | None:
        """Of a function's captured arguments, whether each is an asset; None: it has no objects."""
        objects = self._meta.object_graph_def
        if name not in objects.concrete_functions:
            return None
        captured = objects.concrete_functions[name].bound_inputs
        first = arguments - len(captured)
        return {
            first + number: 0 <= one < len(objects.nodes)
            and objects.nodes[one].WhichOneof("kind") == "asset"
            for number, one in enumerate(captured)
        }

    def _callers(self, name: str) -> Iterator[tuple[Any, Any]]:
        """The functions that call a function, each with its node."""
        for own, content in self._contents.items():
            # The names in a node are slow to read, so most functions are left out before.
            if name.encode() in content:
                function = self._functions[own]
                yield from (
                    (function, node) for node in function.node_def if name in _called_by(node)
                )

    @functools.cached_property
    def _contents(self) -> dict[str, bytes]:
        """By function its bytes."""
        return {name: one.SerializeToString() for name, one in self._functions.items()}

    @functools.cached_property
    def _nodes(self) -> dict[str, Any]:
        return {node.name: node for node in self._meta.graph_def.node}

    def _outputs(self) -> list[str]:
        return [
            _node_name(tensor.name)
            for signature in self._meta.signature_def.values()
            for tensor in signature.outputs.values()
        ]

    def _roots(self) -> list[str]:
        """The nodes that TensorFlow 1 runs: outputs, what is run at the start, and collections."""
        from tensorflow.core.framework import variable_pb2

        names = self._outputs()
        for key, collection in self._meta.collection_def.items():
            names += map(_node_name, collection.node_list.value)
            if key.endswith("variables"):
                for one in collection.bytes_list.value:
                    names.append(
                        _node_name(variable_pb2.VariableDef.FromString(one).initializer_name)
                    )
        return names

    def _ancestors(self, names: Iterable[str]) -> list[str]:
        """These nodes of the graph, and all that they need."""
        waiting, found = [*names], dict[str, None]()
        while waiting:
            name = waiting.pop()
            if name in self._nodes and name not in found:
                found[name] = None
                waiting += map(_node_name, self._nodes[name].input)
        return [*found]

    def _source(self, node: Any, index: int) -> str:
        """The name of the node of the graph that gives a node's input."""
        name = _node_name(node.input[index]) if index < len(node.input) else ""
        seen = set[str]()
        while name in self._nodes and self._nodes[name].op in _SAME and name not in seen:
            seen.add(name)
            name = _node_name(next(iter(self._nodes[name].input), ""))
        return name


def assets_of(meta: Any) -> list[Any]:
    """The messages `AssetFileDef` of a graph; TensorFlow 1 packs them into a collection."""
    from tensorflow.core.protobuf import meta_graph_pb2

    found = [*meta.asset_file_def]
    if not found and _ASSETS in meta.collection_def:
        for packed in meta.collection_def[_ASSETS].any_list.value:
            asset = meta_graph_pb2.AssetFileDef()
            packed.Unpack(asset)
            found.append(asset)
    return found


def _passes(node: Any, function: str, index: int) -> bool:
    """Whether a node calls a function with its own inputs, and has an input of this index."""
    return (node.op == function or node.op in _CALLS) and index < len(node.input)


def _called_by(node: Any) -> list[str]:
    """The names of functions that a node calls."""
    return [
        node.op,
        *(
            called.name
            for value in node.attr.values()
            for called in (value.func, *value.list.func)
            if called.name
        ),
    ]


def _node_name(tensor: str) -> str:
    """The node of a tensor such as `name:0`, `name:output:0` or `^name`."""
    return tensor.lstrip("^").partition(":")[0]
