"""An exported model in TensorFlow's C++ loader, which TensorFlow Serving uses."""

import importlib.resources
import os
import pathlib
import shutil
import subprocess

import numpy as np
import pytest
import small_model as small
import tensorflow as tf

from multimodal_tf.config import (
    BytePairTokenizer,
    ClassificationHead,
    Config,
    SentencePieceTokenizer,
    TextInput,
    WordPieceTokenizer,
)
from multimodal_tf.data.tokenizers.train_subwords import fit_subwords
from multimodal_tf.models.build import build_model
from multimodal_tf.schema import Classes, Schema
from multimodal_tf.serving.export import export_model

COMPILER = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
LIBRARIES = ("libtensorflow_cc.so.2", "libtensorflow_framework.so.2")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        COMPILER is None, reason="no C++ compiler (c++, g++, clang++) is on the path"
    ),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The path of `cc/predict.cc`, compiled with the headers and libraries of the wheel."""
    path = tmp_path_factory.mktemp("cc") / "predict"
    folder = tf.sysconfig.get_lib()
    linked = [
        f"-L{folder}",
        "-Wl,--no-as-needed",
        *(f"-l:{name}" for name in LIBRARIES),
        f"-Wl,-rpath,{folder}",
    ]
    source = pathlib.Path(__file__).parent / "cc" / "predict.cc"
    command = [
        COMPILER,
        "-O0",
        "-w",
        *tf.sysconfig.get_compile_flags(),
        str(source),
        "-o",
        str(path),
        *linked,
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """`(raw, arguments)`: six rows, and by input the arguments of the program.

    Some cells are missing, one image is broken.
    """
    raw, folder = small.raw_rows(6), tmp_path_factory.mktemp("cells")
    raw["photo"][2] = b"<html>"
    raw["title"][3] = "Ein ROTER Vogel 的\0!".encode()
    arguments = {name: [] for name in raw}
    for name, cells in raw.items():
        for row, cell in enumerate(cells):
            missing = np.isnan(cell) if name == "price" else cell == b""
            file = folder / f"{name}-{row}"
            file.write_bytes(str(cell).encode() if name == "price" else cell)
            arguments[name].append(f"{name}=" if missing else f"{name}={file}")
    return raw, arguments


@pytest.mark.parametrize(
    ("fixture", "config"), [("exported", small.CONFIG), ("guarded", small.MATCHING)]
)
def test_the_same_predictions_as_in_python(fixture, config, program, rows, request):
    raw, arguments = ({name: one[name] for name in config.inputs} for one in rows)
    path, command = request.getfixturevalue(fixture), sum(arguments.values(), [])
    signature = tf.saved_model.load(str(path)).signatures["serving_default"]
    python = small.served(signature, raw)
    done = subprocess.run([program, path, "serving_default", *command], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    lines = [line.split("\t") for line in done.stdout.decode().split("\n") if line]
    assert len(lines) == 6 * len(python)
    for name, row, *cells in lines:
        expected = python[name][int(row)]
        if isinstance(expected, bytes):
            assert cells == [expected.decode()]
        elif expected.dtype == np.float32:
            np.testing.assert_allclose(
                np.array(cells, np.float32),
                np.atleast_1d(expected),
                rtol=1e-6,
                atol=1e-6,
                err_msg=name,
            )
        else:
            assert cells == [str(int(flag)) for flag in np.atleast_1d(expected)]


TEXTS = ["A red bird sings.", "你好世界", "مرحبا بالعالم", "ภาษาไทย", "Hi 🙂👍🏽", ""]
# by tokenizer, what a program that has TensorFlow alone must load besides
OPERATIONS = {
    WordPieceTokenizer: ["fast_wordpiece_tokenizer", "regex_split_ops"],
    BytePairTokenizer: [],
    SentencePieceTokenizer: ["sentencepiece_tokenizer"],
}


@pytest.mark.parametrize("kind", OPERATIONS)
def test_subword_tokenizers(kind, program, tmp_path):
    tokenizer = kind(vocabulary_size=400)
    config = Config(
        inputs={"title": TextInput(tokenizer=tokenizer, max_tokens=8)},
        heads={"label": ClassificationHead()},
    )
    stats = fit_subwords(
        "title",
        tokenizer,
        lambda prepare: [one.decode() for one in prepare(tf.constant(TEXTS)).numpy()],
    )
    schema = Schema(
        rows=6, inputs={"title": stats}, heads={"label": Classes(names=["a", "b"], counts=[3, 3])}
    )
    path = export_model(build_model(config, schema), config, schema, tmp_path / "small" / "1")
    expected = tf.saved_model.load(str(path)).signatures["serving_default"](
        title=tf.constant(TEXTS)
    )["label_probabilities"]
    arguments = []
    for row, text in enumerate(TEXTS):
        (tmp_path / str(row)).write_text(text)
        arguments.append(f"title={tmp_path / str(row) if text else ''}")
    folder = importlib.resources.files("tensorflow_text") / "python" / "ops"
    libraries = ":".join(str(folder / f"_{name}.so") for name in OPERATIONS[kind])
    done = subprocess.run(
        [program, path, "predict", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "OP_LIBRARIES": libraries},
    )
    assert done.returncode == 0, done.stderr
    lines = [
        line.split("\t")
        for line in done.stdout.splitlines()
        if line.startswith("label_probabilities\t")
    ]
    np.testing.assert_allclose(
        [list(map(float, values)) for _, _, *values in lines], expected, rtol=1e-6, atol=1e-6
    )


def test_a_folder_without_a_model(program, tmp_path):
    done = subprocess.run([program, tmp_path, "predict"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "Could not find SavedModel" in done.stderr
