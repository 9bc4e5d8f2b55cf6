"""Shared by all tests: a quiet TensorFlow without GPU, one seed, and Ctrl-C that is heard."""

import os
import random
import signal

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np  # noqa: E402
import pytest  # noqa: E402

# as for what a shell starts in the background: programs that tests start inherit it
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _seed():
    """Seeds what Keras draws its seeds from. (`keras.utils.set_random_seed` also makes TensorFlow
    forget every compiled function.)
    """
    random.seed(0)
    np.random.seed(0)


def pytest_addoption(parser):
    parser.addoption(
        "--save-notebooks", metavar="DIR", help="where executed notebooks are written, for the site"
    )
