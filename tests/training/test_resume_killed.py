"""A training that is killed with signal 9 at a random moment ends with the same bits."""

import pathlib
import random
import signal
import subprocess
import sys
import time

import media
import media_program
import numpy as np
import pandas as pd
import pytest
from same_run import assert_same_run
from small_table import ingested

from multimodal_tf.training import run_dir as runs
from multimodal_tf.training.run_dir import load_run


def table(rows=72):
    """Small images as arrays, and sounds as WAV files."""
    generator = np.random.default_rng(0)
    kind = generator.integers(2, size=rows)
    noise = generator.normal(size=(rows, 2000))
    tones = np.sin(np.arange(2000) * (0.3 + 0.4 * kind[:, None]))
    return pd.DataFrame(
        {
            "split": ["train"] * (rows - 16) + ["validation"] * 16,
            "photo": [
                generator.integers(0, 128, (9, 9, 3), np.uint8) + np.uint8(100 * one)
                for one in kind
            ],
            "sound": [media.audio_bytes(one) for one in 0.1 * noise + 0.3 * tones],
            "price": generator.normal(size=rows),
            "label": [["day", "night"][one] for one in kind],
        }
    )


@pytest.mark.slow
def test_killed_at_a_random_moment_in_another_process(tmp_path):
    """Images and audio with all augmentations; it is completed in this process."""
    ingested(tmp_path / "records", media_program.CONFIG, table())
    media_program.train(tmp_path / "records", tmp_path / "whole")
    program = [sys.executable, str(pathlib.Path(media_program.__file__))]
    files = tmp_path / "killed" / runs.CHECKPOINTS
    command = [*program, str(tmp_path / "records"), str(tmp_path / "killed")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    while process.poll() is None and not [*files.glob("*.checkpoint")]:
        time.sleep(0.01)
    time.sleep(random.Random(3).uniform(0, 0.3))
    process.send_signal(signal.SIGKILL)
    process.wait()
    media_program.train(tmp_path / "records", tmp_path / "killed")
    assert_same_run(load_run(tmp_path / "killed"), load_run(tmp_path / "whole"))
    assert load_run(tmp_path / "killed").record.resumed == 1
