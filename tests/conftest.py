"""Shared by all tests: a quiet TensorFlow without GPU, one seed, new processes, shared folders."""

import contextlib
import gc
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
# what `describe` proposes must not depend on the weights that this machine has
os.environ.pop("MULTIMODAL_TF_PRESETS", None)
os.environ["KAGGLEHUB_CACHE"] = os.path.join(os.sep, "no", "cache")

import numpy as np  # noqa: E402
import pytest  # noqa: E402
from filelock import FileLock  # noqa: E402

ROOT = pathlib.Path(__file__).parents[1]
# no examples are in them: programs run in processes of their own, and pytest loads conftests itself
collect_ignore_glob = ["*_program.py", "*conftest.py"]

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


# for programs of their own: as in this process
RARE_GARBAGE = "import gc; gc.set_threshold(20_000, 50, 50)"
# slow tests that take more than half a minute, by a part of their names, the longest first
LONGEST = [
    "05_model_report.ipynb",
    "test_tune_processes.py",
    "test_distribute.py",
    "test_distributed_model_replicas.py",
    "test_strategies.py",
    "04_search_and_scale.ipynb",
    "03_fusion_and_fine_tuning.ipynb",
    "02_towers.ipynb",
    "06_alignment_and_teachers.ipynb",
    "01_quickstart.ipynb",
    "test_teacher.py",
    "test_docs.py",
    "test_tune.py",
    "test_tabular_towers.py",
    "test_fit_frozen_everywhere.py",
    "test_resume_killed.py",
    "test_ingest_resume.py",
    "test_towers_pretrained.py",
    "test_masked_runs.py",
    "test_resume.py",
    "test_saved_towers.py",
    "test_odd_table.py",
    "test_beam.py",
]
# files whose tests share nothing: several processes run them at once
APART = ["test_notebooks.py", "test_docs.py"]


def pytest_collection_modifyitems(config, items):
    """The slow tests alone: the longest first, so that no process is left with them at the end."""
    if config.option.markexpr != "slow":
        return

    def rank(item):
        found = (number for number, name in enumerate(LONGEST) if name in item.nodeid)
        return next(found, len(LONGEST))

    items.sort(key=rank)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """The slow tests: by file, as `--dist loadfile`, but those in `APART` one by one."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            return nodeid if pathlib.PurePath(file).name in APART else file

    return ByFile(config, log) if config.option.markexpr == "slow" else None


def pytest_collection_finish():
    """Garbage collection leaves out the million objects of the imported modules.

    It runs rarely: models and graphs are many objects, and live for a whole test.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 50)


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """`once(name, make)`: a folder that `make(folder)` fills once for all workers of pytest-xdist.

    Tests read it and do not change it.
    """
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        # the folder of all workers
        root = root.parent

    def made(name, make):
        folder, done = root / name, root / f"{name}.done"
        with FileLock(root / f"{name}.lock"):
            if not done.exists():
                # of an attempt that failed
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                done.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def pretrained(once):
    """Paths of tiny pretrained networks: `pretrained.text_preset()`."""
    from pretrained_networks import Pretrained

    return Pretrained(once)


@pytest.fixture(scope="session")
def new_process():
    """`new_process(program, *arguments)`: what a Python program prints in a process of its own.

    It can import the package and the modules of `tests`, and must end without an error.
    """

    def run(program, *arguments, **environment):
        path = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
        done = subprocess.run(
            [sys.executable, "-c", f"{RARE_GARBAGE}\n{program}", *map(str, arguments)],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": path} | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout

    return run


@pytest.fixture(scope="session")
def other_process(once, new_process):
    """`(folder, results)`: what `same_everywhere` gave in a process of its own, by name."""
    import same_everywhere as same

    def make(folder):
        same.prepare(folder)
        new_process(same.PROGRAM, folder, **same.ENVIRONMENT)

    folder = once("other_process", make)
    return folder, json.loads((folder / "results.json").read_text())


@pytest.fixture(scope="session")
def one_device(once):
    """`(metrics, arrays)` of the models of `distributed_models`, trained on one device."""

    def make(folder):
        import distributed_models as models

        scope = contextlib.nullcontext()
        metrics, arrays = models.trained(scope, models.batches())
        stepped = models.batches(heads=models.STEPS_OF)
        metrics["single steps"], after = models.single_steps(scope, stepped)
        arrays |= after
        (folder / "found.json").write_text(json.dumps(metrics))
        np.savez(folder / "found.npz", **arrays)

    folder = once("one_device", make)
    return json.loads((folder / "found.json").read_text()), dict(np.load(folder / "found.npz"))


@pytest.fixture(scope="session")
def exported(once):
    """The folder of the SavedModel of `small_model`."""
    import small_model as small

    from multimodal_tf.serving.export import export_model

    def make(folder):
        export_model(small.build(), small.CONFIG, small.SCHEMA, folder / "1")

    return once("small", make) / "1"


@pytest.fixture(scope="session")
def guarded(once):
    """The folder of the SavedModel of `small_model.MATCHING` with `small_model.guard`.

    The temperature of `label` is 2.
    """
    import small_model as small

    from multimodal_tf.serving.export import export_model

    def make(folder):
        model = small.build(small.MATCHING)
        given = {"guard": small.guard(), "temperature": {"label": 2.0}}
        export_model(model, small.MATCHING, small.SCHEMA, folder / "1", **given)

    return once("guarded", make) / "1"


@pytest.fixture(scope="session")
def small_records(once):
    """The folder of the records of `small_table`."""
    import small_table

    return once("small_records", small_table.ingested)


@pytest.fixture(scope="session")
def small_schema(small_records):
    from multimodal_tf.schema import Schema

    return Schema.load(small_records / "schema.json")


@pytest.fixture(scope="session")
def small_run(once, small_records, small_schema):
    """The folder of a run: `small_table.CONFIG`, trained on `small_records`."""
    import small_table

    from multimodal_tf.training.fit import fit

    return once(
        "small_run",
        lambda run: fit(small_table.CONFIG, small_schema, small_records, run, verbose=0),
    )
