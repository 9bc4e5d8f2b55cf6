"""TensorFlow's lines on missing GPUs are gone, its errors are not."""

import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from multimodal_tf.cli import app
from multimodal_tf.quiet_import import heard

NOISE = b"""WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1796099375.6 28034 port.cc:153] oneDNN custom operations are on.
2026-12-01 03:21:11.123456: I tensorflow/core/util/port.cc:153] oneDNN
To enable the following instructions: AVX2 AVX512F, in other operations, rebuild TensorFlow
I0000 00:00:1796099375.6 28034 cudart_stub.cc:31] Could not find cuda drivers on your machine
E0000 00:00:1796099393.2 28034 cuda_platform.cc:52] failed call to cuInit: INTERNAL
"""
ERRORS = b"E0000 00:00:1 2 x.cc:1] broken\nImportError: no such module\nIndexError\n"


def test_errors_are_heard():
    assert heard(NOISE + ERRORS) == ERRORS
    # with a driver the GPU was wanted
    cuda = b"E0000 00:00:1 2 cuda_platform.cc:52] failed call to cuInit: INTERNAL\n"
    assert heard(cuda) == cuda


@pytest.mark.slow
def test_a_program_prints_nothing_of_its_own():
    """Not even where a PNG has an odd profile."""
    program = (
        "import io, os, multimodal_tf as mm; mm.build_model\n"
        "import tensorflow as tf; from PIL import Image\n"
        "data = io.BytesIO(); picture = Image.new('RGB', (4, 4))\n"
        "picture.save(data, 'PNG', icc_profile=bytes(200))\n"
        "print(tf.io.decode_png(data.getvalue()).shape); os.write(2, b'heard')"
    )
    environment = {key: one for key, one in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, check=True
    )
    assert done.stdout.strip() == b"(4, 4, 3)"
    assert done.stderr == b"heard"


def test_the_command_has_a_version():
    done = CliRunner().invoke(app, ["--version"])
    assert done.exit_code == 0
    assert done.output.strip()
