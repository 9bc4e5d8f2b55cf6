"""Strategies by name, what is refused before training, and two workers on this machine against one
process.
"""

import contextlib
import json
import os
import pathlib
import socket
import sys
import threading

import distributed_models
import keras
import numpy as np
import pytest
import small_table

from multimodal_tf.data.pipeline import load_split
from multimodal_tf.training import distribute
from multimodal_tf.training.launch import launch

TESTS = pathlib.Path(__file__).parents[1]
PROGRAM = pathlib.Path(__file__).with_name("workers_program.py")
# as in test_distributed_model_replicas
ROUNDING = 1e-4


def config(workers, index=0, kind="worker"):
    return json.dumps({"cluster": {"worker": workers}, "task": {"type": kind, "index": index}})


# --- refused


def test_without_a_cluster_the_launcher_is_named(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(
        ValueError,
        match="needs the environment variable TF_CONFIG on every worker, received none: "
        "`multimodal-tf launch",
    ):
        distribute.strategy_of("multi_worker")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"cluster": {"worker": ["a:1"]}}',
        config(["a:1", "b:1"], 2),
        config(["a:1"], kind="ps"),
        config(["a", "b:1"]),
        config(["a:1", "a:1"]),
        config(["a:1", "b:70000"]),
        config("a:1"),
    ],
)
def test_a_wrong_cluster_is_in_the_message(text):
    with pytest.raises(ValueError, match="TF_CONFIG must .* received") as caught:
        distribute.parse_tf_config(text)
    assert text in str(caught.value)


def test_a_chief_is_a_worker_too():
    text = json.dumps(
        {
            "cluster": {"chief": ["a:1"], "worker": ["b:1", "c:1"]},
            "task": {"type": "worker", "index": 0},
        }
    )
    assert distribute.parse_tf_config(text) == ("b:1", ["a:1", "c:1"])


def test_an_unknown_strategy_is_refused():
    with pytest.raises(
        ValueError, match="strategy must be none, mirrored, multi_worker or tpu, received 'horovod'"
    ):
        distribute.strategy_of("horovod")


def test_without_a_tpu_it_is_refused():
    with pytest.raises(ValueError, match="strategy tpu needs a TPU"):
        distribute.strategy_of("tpu")


def test_keras_distribution_which_does_nothing_is_refused():
    device = keras.distribution.list_devices()[0]
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=[device]))
    try:
        with pytest.raises(ValueError, match=r"keras\.distribution does nothing under TensorFlow"):
            distribute.strategy_of.__wrapped__("none")
    finally:
        keras.distribution.set_distribution(None)


# --- workers wait for each other


def free_ports(count):
    with contextlib.ExitStack() as stack:
        bound = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [f"127.0.0.1:{one.getsockname()[1]}" for one in bound]


def test_a_port_in_use_is_refused():
    with socket.create_server(("", 0)) as taken:
        own = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ValueError, match=f"this worker's port must be free, received {own}"):
            distribute.wait_for_workers(own, [])


def test_a_missing_worker_is_named():
    own, other = free_ports(2)
    with pytest.raises(
        ValueError, match=f"all workers must start within 0.3 s, received nothing from {other}"
    ):
        distribute.wait_for_workers(own, [other], seconds=0.3)


def test_three_workers_wait_for_each_other_in_any_order():
    """Afterwards each listens on its port again, as TensorFlow does."""
    addresses, met, all_met = free_ports(3), [], threading.Barrier(3, timeout=20)

    def come(number):
        distribute.wait_for_workers(
            addresses[number], [one for one in addresses if one != addresses[number]], seconds=15
        )
        with socket.create_server(("", int(addresses[number].rpartition(":")[2]))):
            met.append(number)
            all_met.wait()

    threads = [threading.Timer(number / 3, come, [number]) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(met) == [0, 1, 2]


# --- one device


def test_without_a_strategy_nothing_changes(tmp_path):
    strategy = distribute.strategy_of("none")
    assert distribute.is_chief(strategy)
    distribute.check_batch_size(strategy, 7)
    data = distributed_models.line(8)
    assert distribute.distribute_dataset(strategy, {(0, 1): data}.get) is data
    with strategy.scope(), distribute.chief_path(strategy, tmp_path / "model.keras") as place:
        assert place == tmp_path / "model.keras"


# --- two workers


@pytest.fixture(scope="module")
def folder(once, small_records):
    """What two workers, each in its own process, wrote."""

    def make(folder):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", os.pathsep.join((str(TESTS.parent), str(TESTS))))
            command = [sys.executable, str(PROGRAM), str(small_records), str(folder)]
            launch(command, 2, folder / "logs", restarts=0)

    return once("two_workers", make)


@pytest.fixture(scope="module")
def found(folder):
    return [json.loads((folder / f"found-{number}.json").read_text()) for number in (0, 1)]


@pytest.mark.slow
def test_both_workers_have_equal_weights_and_those_of_one_process(folder, one_device):
    expected = one_device[1]
    one, other = (dict(np.load(folder / f"found-{number}.npz")) for number in (0, 1))
    assert one.keys() == other.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)
        # after a single step by the gradient
        bound = 1e-6 if name.startswith("step on batch") else ROUNDING
        np.testing.assert_allclose(
            one[name], array, rtol=0, atol=bound * max(1.0, np.abs(array).max()), err_msg=name
        )


@pytest.mark.slow
def test_both_workers_have_the_metrics_of_one_process(found, one_device):
    expected = one_device[0]
    assert found[0]["history"] == found[1]["history"]
    assert found[0]["steps"] == expected["steps"]
    for fitted in ("history", "single steps"):
        assert found[0][fitted].keys() == expected[fitted].keys()
        for name, metrics in expected[fitted].items():
            np.testing.assert_allclose(found[0][fitted][name], metrics, ROUNDING, err_msg=name)
    assert found[0]["evaluated"] == pytest.approx(expected["evaluated"], rel=ROUNDING)


@pytest.mark.slow
def test_only_the_chief_writes(folder, found):
    assert [one["chief"] for one in found] == [True, False]
    assert [path.name for path in folder.glob("*.keras*")] == ["model.keras"]


@pytest.mark.slow
def test_plain_keras_on_load_split_has_exact_metrics(folder, found, small_records, small_schema):
    """The chief's model, evaluated on one device, has the metrics that both workers had."""
    model = keras.models.load_model(folder / "model.keras")
    test = load_split(small_table.CONFIG, small_schema, small_records, "test")
    expected = model.evaluate(test, verbose=0, return_dict=True)
    assert found[0]["records"] == found[1]["records"]
    assert found[0]["records"] == pytest.approx(expected, rel=ROUNDING)


@pytest.mark.slow
@pytest.mark.parametrize("correction", ["_maybe_symbolic_build", "_make_function"])
def test_fit_fails_on_workers_without_the_correction(found, correction):
    assert all(one[correction] for one in found)
