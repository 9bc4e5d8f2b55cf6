"""Strategies of `tf.distribute` by name, what each worker reads, and who writes.

What Keras does wrong under them is mended in `models.distributed_model`.
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
from typing import Literal

import keras
import numpy as np
import tensorflow as tf

Name = Literal["none", "mirrored", "multi_worker", "tpu"]
# seconds that a worker waits for the others
PATIENCE = 300.0


# a second strategy in one process can poison it
@functools.cache
def strategy_of(name: Name) -> tf.distribute.Strategy:
    """The strategy of a name; the same object in every call of a process.

    Args:
        name: "none": one device. "mirrored": all GPUs of this process, or, without any, all its
            logical CPUs. "multi_worker": the workers that the environment variable `TF_CONFIG`
            names, as `multimodal-tf launch` sets it; call this before anything else of TensorFlow.
            "tpu": the TPU that this host is attached to (untried).

    Returns:
        `tf.distribute.Strategy`. Models are to be built and compiled `with strategy.scope()`.

    Raises:
        ValueError: there is no such strategy, `keras.distribution` is set, there is no `TF_CONFIG`
            or a wrong one, this worker's port is in use, a worker does not come within `PATIENCE`,
            TensorFlow was used before, or there is no TPU.

    Example:
        >>> with strategy_of("none").scope():
        ...     model = keras.Sequential([keras.layers.Dense(1)])
    """
    if keras.distribution.distribution() is not None:
        raise ValueError(
            "keras.distribution does nothing under TensorFlow: call keras.distribution.set_distribution(None), and name a strategy instead"
        )
    match name:
        case "none":
            return tf.distribute.get_strategy()
        case "mirrored":
            return _mirrored()
        case "multi_worker":
            return _multi_worker()
        case "tpu":
            return _tpu()
    raise ValueError(f"strategy must be none, mirrored, multi_worker or tpu, received {name!r}")


def _mirrored():
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def _multi_worker():
    meet(*workers(os.environ.get("TF_CONFIG")))
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        # «Collective ops must be configured at program startup»
        raise ValueError(
            "strategy multi_worker must be made before anything else of TensorFlow is used in this process: start the process anew, and "
            "make the strategy first"
        ) from error


def _tpu():
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect()
    except (ValueError, OSError, tf.errors.OpError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"strategy tpu needs a TPU that this host is attached to, received none: {reason}"
        ) from error
    return tf.distribute.TPUStrategy(resolver)


def workers(text: str | None) -> tuple[str, list[str]]:
    """Reads a `TF_CONFIG`.

    Args:
        text: what the environment variable holds: `{"cluster": {"worker": ["host:port", ...]},
            "task": {"type": "worker", "index": 0}}`.

    Returns:
        This worker's address, and the other workers'.

    Raises:
        ValueError: it is missing or wrong.

    Example:
        >>> workers('{"cluster": {"worker": ["a:1234", "b:1234"]}, "task": {"type": "worker", "index": 1}}')
        ('b:1234', ['a:1234'])
    """
    if not text:
        raise ValueError(
            "strategy multi_worker needs the environment variable TF_CONFIG on every worker, received none: "
            "`multimodal-tf launch --workers N -- train ...` sets it"
        )
    try:
        given = json.loads(text)
        cluster, task = given["cluster"], given["task"]
        addresses = [*cluster.get("chief", []), *cluster.get("worker", [])]
        own = cluster[task["type"]][int(task["index"])]
        ports = [int(address.rpartition(":")[2]) for address in addresses]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        form = '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'
        raise ValueError(
            f"TF_CONFIG must be JSON as {form}, with an index that the cluster has, received {text}"
        ) from error
    if (
        own not in addresses
        or len(set(addresses)) < len(addresses)
        or not all(0 < port < 2**16 for port in ports)
    ):
        raise ValueError(
            f"TF_CONFIG must name each worker once, with a port from 1 to 65535, received {text}"
        )
    return own, [address for address in addresses if address != own]


def meet(own: str, others: Sequence[str], seconds: float = PATIENCE):
    """Waits until all workers are there; TensorFlow itself would wait for an hour, and not say for
    whom.

    Each listens on its port until it has reached all others.

    Args:
        own, others: as `workers` gives them.
        seconds: float > 0. How long it waits.

    Raises:
        ValueError: this worker's port is in use, or a worker did not come in time.
    """
    end = time.monotonic() + seconds
    try:
        listening = socket.create_server(
            ("", int(own.rpartition(":")[2])), backlog=max(len(others), 16)
        )
    except OSError as error:
        raise ValueError(
            f"TF_CONFIG: this worker's port must be free, received {own}, where another process listens"
        ) from error
    with listening:
        missing = list(others)
        while missing := [address for address in missing if not _reached(address)]:
            if time.monotonic() > end:
                raise ValueError(
                    f"TF_CONFIG: all workers must come within {seconds:g} s, received nothing from {', '.join(missing)}: start the same "
                    "command there, and let this host reach that port"
                )
            time.sleep(0.2)


def _reached(address):
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=2).close()
    except OSError:
        return False
    return True


def check_batch(strategy: tf.distribute.Strategy, batch_size: int):
    """Refuses a batch of which the replicas would have unequal shares.

    Raises:
        ValueError: it is not a multiple of the replicas.
    """
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        nearest = max(round(batch_size / replicas), 1) * replicas
        raise ValueError(
            f"training.batch_size must be a multiple of the {replicas} replicas, which share each batch, received {batch_size}: "
            f"{nearest} would be"
        )


def distributed(
    strategy: tf.distribute.Strategy, batches: Callable[[tuple[int, int]], tf.data.Dataset]
):
    """A data set of which each worker reads its own rows only.

    Args:
        strategy: of `strategy_of`, or any other.
        batches: a function of `(w, n)`, this worker's number and how many there are, to its share
            of the global batches, all of the same number, as `load_split(..., worker=(w, n))`
            gives.

    Returns:
        What `model.fit`, `evaluate` and `predict` take: one element is one step. Without a
        strategy, `batches((0, 1))`. A replica without rows, in a last batch, gets an element of
        none.

    Example:
        >>> rows = tf.data.Dataset.from_tensor_slices([1.0, 2.0, 3.0]).batch(2)
        >>> [element.numpy().tolist() for element in distributed(strategy_of("none"), lambda worker: rows)]
        [[1.0, 2.0], [3.0]]
    """
    if strategy.num_replicas_in_sync == 1:
        return batches((0, 1))
    if not isinstance(
        strategy, tf.distribute.MultiWorkerMirroredStrategy | tf.distribute.TPUStrategy
    ):
        return strategy.experimental_distribute_dataset(batches((0, 1)))

    def of_worker(context):
        share = batches((context.input_pipeline_id, context.num_input_pipelines))
        replicas = strategy.num_replicas_in_sync // context.num_input_pipelines
        return share if replicas == 1 else _by_replica(share, replicas)

    return strategy.distribute_datasets_from_function(of_worker)


def _by_replica(batches, replicas):
    """Each batch as that many elements, which hold its rows in order; of unknown number, as
    TensorFlow would take it for that of steps.
    """

    def pieces(*batch):
        rows = tf.shape(tf.nest.flatten(batch)[0])[0]
        ends = [replica * rows // replicas for replica in range(replicas + 1)]
        return functools.reduce(
            tf.data.Dataset.concatenate, [_slice(batch, *places) for places in zip(ends, ends[1:])]
        )

    return batches.flat_map(pieces)


def _slice(batch, start, end):
    return tf.data.Dataset.from_tensors(tf.nest.map_structure(lambda part: part[start:end], batch))


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes: the first of several workers, or the only one."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return True
    resolver = strategy.cluster_resolver
    jobs = resolver.cluster_spec().jobs
    return (
        resolver.task_type == "chief" or not jobs or ("chief" not in jobs and resolver.task_id == 0)
    )


@contextlib.contextmanager
def written_by_chief(
    strategy: tf.distribute.Strategy, path: pathlib.Path
) -> Iterator[pathlib.Path]:
    """The path to write to: on the chief `path`; on other workers one in a temporary folder, which
    is removed after the block.

    All workers are to write alike, since reading a variable may need all of them. After the block
    the chief has written, for all of them.

    Example:
        >>> with written_by_chief(strategy_of("none"), pathlib.Path("model.keras")) as place:
        ...     place.name
        'model.keras'
    """
    if is_chief(strategy):
        yield path
    else:
        with tempfile.TemporaryDirectory() as folder:
            yield pathlib.Path(folder, path.name)
    gathered(strategy, [0.0])


def gathered(strategy: tf.distribute.Strategy, numbers: Sequence[float]) -> np.ndarray:
    """What all workers say; each waits here for the others.

    Args:
        strategy: of `strategy_of`, or any other.
        numbers: sequence of `n` floats.

    Returns:
        float64 `(workers, n)`, or more rows where workers have several replicas.
    """
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return np.array([numbers], np.float64)
    return _gather(strategy)(tf.constant(numbers, tf.float64)).numpy()


@functools.cache
def _gather(strategy):
    def own(numbers):
        return tf.distribute.get_replica_context().all_gather(numbers[None], axis=0)

    def gather(numbers):
        return strategy.experimental_local_results(strategy.run(own, args=(numbers,)))[0]

    return tf.function(gather, input_signature=[tf.TensorSpec([None], tf.float64)], autograph=False)


def check_alike(strategy: tf.distribute.Strategy, what: str, value: str):
    """Refuses workers that were given different things.

    Args:
        strategy: of `strategy_of`, or any other.
        what: what must be the same, for the sentence.
        value: this worker's, as text.

    Raises:
        ValueError: on every worker, if one has another value.
    """
    digest = float(int.from_bytes(hashlib.sha256(value.encode()).digest()[:6]))
    found = gathered(strategy, [digest])
    if len(np.unique(found)) > 1:
        raise ValueError(
            f"all workers must have {what}, received {len(np.unique(found))} different ones"
        )


class OwnValues:
    """Variables of which each replica has its own value, such as what its metrics have counted. All
    workers are to use it alike.

    Args:
        strategy: of `strategy_of`, or any other.
        variables: list of Keras variables, of numbers that float64 holds exactly.
    """

    def __init__(self, strategy: tf.distribute.Strategy, variables: Sequence[keras.Variable]):
        self._strategy, self._variables = strategy, variables
        self._gather, self._assign = (
            tf.function(part, autograph=False) for part in (self._gathered, self._assigned)
        )

    def read(self) -> np.ndarray:
        """float64 `(replicas, numbers)`: all values of each replica, one after another."""
        return self._gather().numpy()

    def write(self, values: np.ndarray):
        """Gives each replica again what `read` has told."""
        self._assign(tf.constant(values))

    def _gathered(self):
        def own():
            parts = [
                tf.reshape(tf.cast(variable.value, tf.float64), [-1])
                for variable in self._variables
            ]
            return tf.distribute.get_replica_context().all_gather(
                tf.concat(parts, axis=0)[None], axis=0
            )

        return self._strategy.experimental_local_results(self._strategy.run(own))[0]

    def _assigned(self, values):
        sizes = [math.prod(variable.shape) for variable in self._variables]

        def own():
            number = tf.distribute.get_replica_context().replica_id_in_sync_group
            for variable, part in zip(self._variables, tf.split(tf.gather(values, number), sizes)):
                variable.assign(tf.cast(tf.reshape(part, variable.shape), variable.dtype))

        self._strategy.run(own)


def synchronize(model: keras.Model):
    """Has batch normalisation, in a model's layers and in layers within these, count the rows of
    all replicas; before `compile`.
    """
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True
