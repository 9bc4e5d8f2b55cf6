"""One trained run, its model report, a page with every block, and a browser."""

import contextlib
import pickle

import pytest
import small_table
import title_table
from chromium import CHROMIUM, Browser
from full_page import full_page

from multimodal_tf.data.table import read_table
from multimodal_tf.evaluation.predictor import predictor_of
from multimodal_tf.report.model import model_report
from multimodal_tf.report.page import save
from multimodal_tf.serving.export import export_model
from multimodal_tf.training.fit import fit
from multimodal_tf.training.run_dir import load_run


@pytest.fixture(scope="session")
def title_run(once):
    """A folder with the records of `title_table`, a run trained on them, and its SavedModel."""

    def make(folder):
        config = title_table.CONFIG
        schema = small_table.ingested(folder / "records", config, title_table.frame())
        trained = fit(config, schema, folder / "records", folder / "run", verbose=0)
        export_model(trained.model, config, schema, folder / "saved" / "1")

    return once("title_run", make)


@pytest.fixture(scope="session")
def records(title_run):
    return title_run / "records"


@pytest.fixture(scope="session")
def trained(title_run):
    """The trained model with its configuration and schema."""
    return load_run(title_run / "run")


@pytest.fixture(scope="session")
def predictor(trained):
    """The trained model's predictor, whose graphs are traced once for all tests."""
    return predictor_of(trained)


@pytest.fixture(scope="session")
def table():
    """What was ingested."""
    return read_table(title_table.frame())


@pytest.fixture(scope="session")
def report_folder(once, records, trained, table):
    """A folder with the report of the trained model: `page`, and `report.pickle`."""

    def make(folder):
        model, config, schema = trained.model, trained.config, trained.schema
        found = model_report(
            model, records, folder / "page", config, schema, table=table, **title_table.FEW
        )
        (folder / "report.pickle").write_bytes(pickle.dumps(found))

    return once("title_report", make)


@pytest.fixture(scope="session")
def report(report_folder):
    """The `ModelReport` of the trained model."""
    return pickle.loads((report_folder / "report.pickle").read_bytes())


@pytest.fixture(scope="session")
def page_folder(tmp_path_factory):
    """The folder of `full_page`."""
    path = tmp_path_factory.mktemp("page") / "report"
    save(full_page(), path)
    return path


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """One tab of a headless Chromium."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not on the path (Debian: apt install chromium)")
    with contextlib.closing(Browser(tmp_path_factory.mktemp("profile"))) as browser:
        yield browser
