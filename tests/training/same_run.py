"""What it means that two runs are the same."""

import numpy as np


def assert_same_run(one, other):
    """Bit for bit: history, metrics, weights and the state of the optimizer."""
    assert one.history == other.history
    assert one.metrics == other.metrics
    for ours, theirs in zip(one.model.get_weights(), other.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for ours, theirs in zip(
        one.model.optimizer.variables, other.model.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    ours, theirs = (run.run_dir / "history.csv" for run in (one, other))
    assert ours.read_bytes() == theirs.read_bytes()
