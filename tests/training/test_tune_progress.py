"""A search that is redirected says a line a trial."""

import time

import pytest

from multimodal_tf.training.tune import progress


@pytest.mark.parametrize(
    ("total", "shown", "expected"),
    [
        (3, True, ["tune: 1 of 3 trials, best 0.5", "tune: 2 of 3 trials, best 0.4"]),
        (None, True, ["tune: 1 trials, best 0.5", "tune: 2 trials, best 0.4"]),
        (3, None, []),
        (3, False, []),
    ],
)
def test_a_line_a_trial(total, shown, expected, tmp_path, monkeypatch, capsys):
    ended = [(0, []), (1, [0.5]), (1, [0.5]), (2, [0.5, 0.4])]
    monkeypatch.setattr(progress, "_INTERVAL", 0.01)
    monkeypatch.setattr(
        progress.report, "ended_trials", lambda _: ended.pop(0) if len(ended) > 1 else ended[0]
    )
    with progress.search_progress(tmp_path, total, "min", shown):
        while len(ended) > 1:
            time.sleep(0.01)
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith("tune: ")] == expected
