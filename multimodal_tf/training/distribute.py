"""Strategies of `tf.distribute` by name, what each worker reads, and which one writes.

`models.distributed_model` corrects what Keras gets wrong under them.
"""

import contextlib
import functools
import hashlib
import json
import math
import os
import pathlib
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, get_args

import keras
import numpy as np
import tensorflow as tf

StrategyName = Literal["none", "mirrored", "multi_worker", "tpu"]
# seconds for which a worker waits for the others
TIMEOUT = 300.0

# a worker's index and the number of workers
Worker = tuple[int, int]


# a second strategy in one process can corrupt it
@functools.cache
def strategy_of(name: StrategyName) -> tf.distribute.Strategy:
    """The strategy of a name; the same object in every call of a process.

    Args:
        name: "none": one device. "mirrored": all GPUs of this process, or all its logical CPUs if
            it has no GPU. "multi_worker": the workers of the environment variable `TF_CONFIG`, as
            `multimodal-tf launch` sets it; call this before any other use of TensorFlow. "tpu": the
            TPU that this host is attached to (not tested).

    Returns:
        `tf.distribute.Strategy`. Build and compile models `with strategy.scope()`.

    Raises:
        ValueError: there is no such strategy, `keras.distribution` is set, `TF_CONFIG` is missing
            or wrong, this worker's port is in use, a worker does not appear within `TIMEOUT`,
            TensorFlow was used before, or there is no TPU.

    Example:
        >>> with strategy_of("none").scope():
        ...     model = keras.Sequential([keras.layers.Dense(1)])
    """
    if keras.distribution.distribution() is not None:
        raise ValueError(
            "keras.distribution does nothing under TensorFlow: call "
            "keras.distribution.set_distribution(None), and name a strategy instead"
        )
    if name not in get_args(StrategyName):
        raise ValueError(f"strategy must be none, mirrored, multi_worker or tpu, received {name!r}")
    match name:
        case "none":
            return tf.distribute.get_strategy()
        case "mirrored":
            return _mirrored()
        case "multi_worker":
            return _multi_worker()
        case "tpu":
            return _tpu()


def _mirrored() -> tf.distribute.Strategy:
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def _multi_worker() -> tf.distribute.Strategy:
    wait_for_workers(*parse_tf_config(os.environ.get("TF_CONFIG")))
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        # "Collective ops must be configured at program startup"
        raise ValueError(
            "strategy multi_worker must be made before any other use of TensorFlow in this "
            "process: start the process anew, and make the strategy first"
        ) from error


def _tpu() -> tf.distribute.Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect()
    except (ValueError, OSError, tf.errors.OpError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"strategy tpu needs a TPU that this host is attached to, received none: {reason}"
        ) from error
    return tf.distribute.TPUStrategy(resolver)


def parse_tf_config(text: str | None) -> tuple[str, list[str]]:
    """Reads a `TF_CONFIG`.

    Args:
        text: the environment variable's value: `{"cluster": {"worker": ["host:port", ...]},
            "task": {"type": "worker", "index": 0}}`.

    Returns:
        This worker's address, and the other workers'.

    Raises:
        ValueError: it is missing or wrong.

    Example:
        >>> cluster = '"cluster": {"worker": ["a:1234", "b:1234"]}'
        >>> parse_tf_config(f'{{{cluster}, "task": {{"type": "worker", "index": 1}}}}')
        ('b:1234', ['a:1234'])
    """
    if not text:
        raise ValueError(
            "strategy multi_worker needs the environment variable TF_CONFIG on every worker, "
            "received none: `multimodal-tf launch --workers N -- train ...` sets it"
        )
    try:
        tf_config = json.loads(text)
        cluster, task = tf_config["cluster"], tf_config["task"]
        addresses = [*cluster.get("chief", []), *cluster.get("worker", [])]
        own = cluster[task["type"]][int(task["index"])]
        ports = [int(address.rpartition(":")[2]) for address in addresses]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        form = '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'
        raise ValueError(
            f"TF_CONFIG must be JSON as {form}, with an index that the cluster has, received {text}"
        ) from error
    unique = own in addresses and len(set(addresses)) == len(addresses)
    if not unique or not all(0 < port < 2**16 for port in ports):
        raise ValueError(
            f"TF_CONFIG must name each worker once, with a port from 1 to 65535, received {text}"
        )
    return own, [address for address in addresses if address != own]


def wait_for_workers(own: str, others: Sequence[str], seconds: float = TIMEOUT) -> None:
    """Waits until all workers have started.

    Each worker listens on its port until it has reached all others. TensorFlow itself would wait
    for an hour, and not say for which worker.

    Args:
        own, others: as `parse_tf_config` returns them.
        seconds: float > 0. How long it waits.

    Raises:
        ValueError: this worker's port is in use, or a worker did not appear in time.
    """
    deadline = time.monotonic() + seconds
    port = int(own.rpartition(":")[2])
    try:
        listening = socket.create_server(("", port), backlog=max(len(others), 16))
    except OSError as error:
        raise ValueError(
            f"TF_CONFIG: this worker's port must be free, received {own}, where another process "
            "listens"
        ) from error
    with listening:
        missing = list(others)
        while missing := [address for address in missing if not _reached(address)]:
            if time.monotonic() > deadline:
                raise ValueError(
                    f"TF_CONFIG: all workers must start within {seconds:g} s, received nothing "
                    f"from {', '.join(missing)}: start the same command there, and let this host "
                    "reach that port"
                )
            time.sleep(0.2)


def _reached(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=2).close()
    except OSError:
        return False
    return True


def check_batch_size(strategy: tf.distribute.Strategy, batch_size: int) -> None:
    """Checks that all replicas get equal shares of a batch.

    Raises:
        ValueError: the batch size is not a multiple of the number of replicas.
    """
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        nearest = max(round(batch_size / replicas), 1) * replicas
        raise ValueError(
            f"training.batch_size must be a multiple of the {replicas} replicas, which share each "
            f"batch, received {batch_size}: {nearest} would be"
        )


def distribute_dataset(
    strategy: tf.distribute.Strategy, batches: Callable[[Worker], tf.data.Dataset]
) -> Any:
    """A dataset of which each worker reads its own rows only.

    Args:
        strategy: as `strategy_of` returns it, or any other.
        batches: function from `(worker, workers)` to that worker's share of the global batches.
            All workers have the same number of batches, as `load_split(..., worker=(w, n))` gives
            them.

    Returns:
        What `model.fit`, `evaluate` and `predict` take: one element is one step. Without a
        strategy, `batches((0, 1))`. In an incomplete last batch, a replica without rows gets an
        element with zero rows.

    Example:
        >>> rows = tf.data.Dataset.from_tensor_slices([1.0, 2.0, 3.0]).batch(2)
        >>> dataset = distribute_dataset(strategy_of("none"), lambda worker: rows)
        >>> [element.numpy().tolist() for element in dataset]
        [[1.0, 2.0], [3.0]]
    """
    if strategy.num_replicas_in_sync == 1:
        return batches((0, 1))
    if not isinstance(
        strategy, tf.distribute.MultiWorkerMirroredStrategy | tf.distribute.TPUStrategy
    ):
        return strategy.experimental_distribute_dataset(batches((0, 1)))

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        share = batches((context.input_pipeline_id, context.num_input_pipelines))
        replicas = strategy.num_replicas_in_sync // context.num_input_pipelines
        return share if replicas == 1 else _split_by_replica(share, replicas)

    return strategy.distribute_datasets_from_function(of_worker)


def _split_by_replica(batches: tf.data.Dataset, replicas: int) -> tf.data.Dataset:
    """Each batch as one element per replica, which together hold its rows in order.

    The number of elements is unknown, because TensorFlow would take it for that of steps.
    """

    @tf.autograph.experimental.do_not_convert
    def split(*batch: Any) -> tf.data.Dataset:
        rows = tf.shape(tf.nest.flatten(batch)[0])[0]
        ends = [replica * rows // replicas for replica in range(replicas + 1)]
        pieces = [_slice(batch, start, end) for start, end in zip(ends, ends[1:])]
        return functools.reduce(tf.data.Dataset.concatenate, pieces)

    return batches.flat_map(split)


def _slice(batch: Any, start: tf.Tensor, end: tf.Tensor) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensors(tf.nest.map_structure(lambda x: x[start:end], batch))


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the chief, which writes: the first of several workers or the only."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return True
    resolver = strategy.cluster_resolver
    jobs = resolver.cluster_spec().jobs
    if resolver.task_type == "chief" or not jobs:
        return True
    return "chief" not in jobs and resolver.task_id == 0


@contextlib.contextmanager
def chief_path(strategy: tf.distribute.Strategy, path: pathlib.Path) -> Iterator[pathlib.Path]:
    """The path to write to: `path` on the chief, a temporary one on other workers.

    All workers must write alike, since reading a variable may need all of them. The temporary
    folder is removed after the block. After the block, the chief has written.

    Example:
        >>> with chief_path(strategy_of("none"), pathlib.Path("model.keras")) as path:
        ...     path.name
        'model.keras'
    """
    if is_chief(strategy):
        yield path
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield pathlib.Path(folder, path.name)
    all_gather(strategy, [0.0])


def all_gather(
    strategy: tf.distribute.Strategy, numbers: Sequence[float]
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The numbers of all workers. Each worker waits here for the others.

    Args:
        strategy: as `strategy_of` returns it, or any other.
        numbers: sequence of `n` floats.

    Returns:
        float64 `(workers, n)`, or more rows if workers have several replicas.
    """
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return np.array([numbers], np.float64)
    return np.asarray(_gather_function(strategy)(tf.constant(numbers, tf.float64)).numpy())


@functools.cache
def _gather_function(strategy: tf.distribute.Strategy) -> Callable[[tf.Tensor], tf.Tensor]:
    def own(numbers: tf.Tensor) -> tf.Tensor:
        return tf.distribute.get_replica_context().all_gather(numbers[None], axis=0)

    def gather(numbers: tf.Tensor) -> tf.Tensor:
        return strategy.experimental_local_results(strategy.run(own, args=(numbers,)))[0]

    signature = [tf.TensorSpec([None], tf.float64)]
    function: Callable[[tf.Tensor], tf.Tensor] = tf.function(
        gather, input_signature=signature, autograph=False
    )
    return function


def check_same(strategy: tf.distribute.Strategy, what: str, value: str) -> None:
    """Checks that all workers have the same value.

    Args:
        strategy: as `strategy_of` returns it, or any other.
        what: what must be the same, for the message.
        value: this worker's, as text.

    Raises:
        ValueError: a worker has another value. It is raised on every worker.
    """
    digest = float(int.from_bytes(hashlib.sha256(value.encode()).digest()[:6]))
    different = len(np.unique(all_gather(strategy, [digest])))
    if different > 1:
        raise ValueError(f"all workers must have {what}, received {different} different ones")


class ReplicaValues:
    """Variables of which each replica has its own value, such as the state of its metrics.

    All workers must call the methods alike.

    Args:
        strategy: as `strategy_of` returns it, or any other.
        variables: Keras variables, of numbers that float64 represents exactly.
    """

    def __init__(
        self, strategy: tf.distribute.Strategy, variables: Sequence[keras.Variable]
    ) -> None:
        self._strategy, self._variables = strategy, variables
        self._gather = tf.function(self._gathered, autograph=False)
        self._assign = tf.function(self._assigned, autograph=False)

    def read(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """float64 `(replicas, numbers)`: all values of each replica, concatenated."""
        return np.asarray(self._gather().numpy())

    def write(self, values: np.ndarray[Any, np.dtype[np.float64]]) -> None:
        """Assigns to each replica what `read` returned."""
        self._assign(tf.constant(values))

    def _gathered(self) -> tf.Tensor:
        def own() -> tf.Tensor:
            flat = [
                tf.reshape(tf.cast(variable.value, tf.float64), [-1])
                for variable in self._variables
            ]
            context = tf.distribute.get_replica_context()
            return context.all_gather(tf.concat(flat, axis=0)[None], axis=0)

        return self._strategy.experimental_local_results(self._strategy.run(own))[0]

    def _assigned(self, values: tf.Tensor) -> None:
        sizes = [math.prod(variable.shape) for variable in self._variables]

        def own() -> None:
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            flat = tf.split(tf.gather(values, replica), sizes)
            for variable, value in zip(self._variables, flat):
                variable.assign(tf.cast(tf.reshape(value, variable.shape), variable.dtype))

        self._strategy.run(own)


def synchronize_batch_normalization(model: keras.Model) -> None:
    """Makes batch normalisation use the rows of all replicas, also in layers within layers.

    Call it before `compile`.
    """
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True
