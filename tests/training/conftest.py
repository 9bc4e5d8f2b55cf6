"""Two cross-validations, each of two folds."""

import pickle

import cross_validated
import pytest
import tune_space
from small_table import ingested

from multimodal_tf.data.table import read_table
from multimodal_tf.training import cross_validation
from multimodal_tf.training.cross_validation import cross_validate


class Killed(BaseException):  # noqa: N818  nothing may catch it, as nothing can a kill
    pass


@pytest.fixture(scope="session")
def cv_runs(once):
    """`first`, killed while the second fold was trained, and resumed; and `second`.

    `before.json` is the record of the finished fold when the other one was killed.
    """

    def make(folder):
        table = read_table(cross_validated.frame())
        real = cross_validation.fit

        def dies(config, schema, records, run, **options):
            if run.name == "0-1":
                raise Killed
            return real(config, schema, records, run, **options)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cross_validation, "fit", dies)
            with pytest.raises(Killed):
                cross_validate(cross_validated.CONFIG, table, folder / "first", 2)
        before = (folder / "first" / "runs" / "0-0" / "run.json").read_bytes()
        (folder / "before.json").write_bytes(before)
        for name, config in (("first", cross_validated.CONFIG), ("second", cross_validated.OTHER)):
            found = cross_validate(config, table, folder / name, 2)
            (folder / f"{name}.pickle").write_bytes(pickle.dumps(found))

    return once("cv_runs", make)


@pytest.fixture(scope="session")
def first(cv_runs):
    return pickle.loads((cv_runs / "first.pickle").read_bytes())


@pytest.fixture(scope="session")
def second(cv_runs):
    return pickle.loads((cv_runs / "second.pickle").read_bytes())


@pytest.fixture(scope="session")
def tune_records(once):
    """The folder of the records of `tune_space.CONFIG`."""
    return once("tune_records", lambda folder: ingested(folder, tune_space.CONFIG))
