"""The whole model report, for a small model whose titles contain the class."""

import contextlib
import json
import sys
import types

import keras
import numpy as np
import pytest
import small_model
import small_table as case
import tensorflow as tf
from chromium_case import (
    COMPLAINTS,
    NEEDS_CHROMIUM,
    SCHEMES,
    STICKS_OUT,
    TOO_FAINT,
    WIDTHS,
    Browser,
)

from multimodal_tf import cli
from multimodal_tf.config import Config, Training
from multimodal_tf.data.table import read_table
from multimodal_tf.evaluation.eval_split import load_eval_split
from multimodal_tf.models.build import build_model
from multimodal_tf.report.model import model_report, predictor_of
from multimodal_tf.report.page import Note
from multimodal_tf.schema import Classes
from multimodal_tf.serving.export import export_model
from multimodal_tf.training.fit import fit

CONFIG = Config.model_validate(
    case.CONFIG.model_dump()
    | {"training": Training(epochs=20, batch_size=8, learning_rate=0.03, patience=20).model_dump()}
)
FEW = {"resamples": 50, "corrupted": 8}
TITLES = [
    "Modality contributions",
    "Robustness to corruptions",
    "Cross-modal alignment",
    "Out-of-distribution detection",
    "Cross-modal retrieval",
    "Calibration",
    "Errors",
    "Explanations of single rows",
]


def table():
    """The title contains the class; only training and validation rows lack it sometimes."""
    frame = case.frame(train=60, validation=15, test=24)
    names = frame["label"].map({"b": "bird", "c": "cat", "d": "dog"})
    frame["title"] = frame["title"].where(frame["split"] != "test", names)
    return frame


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    schema = case.ingested(folder / "records", CONFIG, table())
    trained = fit(CONFIG, schema, folder / "records", folder / "run", verbose=0)
    export_model(trained.model, CONFIG, schema, folder / "model" / "1")
    return folder


@pytest.fixture(scope="module")
def schema(folder):
    return case.Schema.load(folder / "records" / "schema.json")


@pytest.fixture(scope="module")
def model(folder):
    return keras.models.load_model(folder / "run" / "model.keras")


@pytest.fixture(scope="module")
def report(folder, schema, model):
    return model_report(
        model,
        folder / "records",
        folder / "report",
        CONFIG,
        schema,
        table=read_table(table()),
        **FEW,
    )


def test_a_planted_leak_is_found(report):
    assert report.contributions.share["title"].value > 0.9
    assert any(
        sentence.startswith("The model relies almost entirely on title")
        for sentence in report.page.summary
    )
    assert report.contributions.drop["title"].value > 0.3 > report.contributions.drop["price"].value


def test_the_most_damaging_corruption_is_of_the_title(report):
    [sentence] = [
        sentence for sentence in report.page.summary if sentence.startswith("The most damaging")
    ]
    assert " of title: " in sentence


@NEEDS_CHROMIUM
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_page_in_a_browser(report, folder, tmp_path, width, scheme):
    with contextlib.closing(Browser(tmp_path)) as browser:
        browser.open((folder / "report" / "index.html").as_uri(), width, scheme)
        assert [event for event in browser.events if event["method"] in COMPLAINTS] == []
        assert (
            browser.run(
                "[...document.querySelectorAll('main > section h2')].map(each => each.textContent)"
            )[1:]
            == TITLES
        )
        assert browser.run(
            "[...document.querySelectorAll('main > section')]"
            ".every(each => each.clientHeight > 100)"
        )
        assert browser.run(
            "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        )
        assert browser.run(STICKS_OUT) == []
        assert browser.run(TOO_FAINT) == []


def test_every_section_is_on_the_page_and_in_its_data(report, folder):
    titles = [section.title for section in report.page.sections]
    assert titles == TITLES
    html = (folder / "report" / "index.html").read_text()
    assert all(title in html for title in titles)
    beside = json.loads((folder / "report" / "report.json").read_text())
    assert [section["title"] for section in beside["sections"]] == titles
    assert list((folder / "report" / "data").glob("*.csv"))


def test_a_saved_model_has_the_same_metrics(report, folder):
    served = model_report(
        folder / "model" / "1",
        folder / "records",
        folder / "served",
        table=read_table(table()),
        **FEW,
    )
    assert served.page.summary == report.page.summary
    assert served.contributions == report.contributions


def test_a_served_temperature_is_applied(guarded):
    """Against the predictions of the SavedModel itself, also for rows without any input."""
    _, path, _ = guarded
    raw = small_model.raw_rows(7)
    for name, cells in raw.items():
        cells[3] = np.nan if name == "price" else b""
    served = tf.saved_model.load(str(path)).signatures["predict"]
    expected = served(**{name: tf.constant(cells) for name, cells in raw.items()})[
        "label_probabilities"
    ]
    np.testing.assert_allclose(predictor_of(path).predict(raw)["label"], expected, atol=1e-6)


def test_an_input_left_out_equals_an_empty_cell(folder, schema, model):
    """Subsets use decoded rows; emptied cells must give the same predictions."""
    predictor = predictor_of(model, CONFIG, schema)
    eval_split, features = load_eval_split(predictor, folder / "records", "test", "label")
    emptied = {
        "title": np.full(len(eval_split.rows), b"", object),
        "price": np.full(len(eval_split.rows), np.nan, np.float32),
    }
    for names in (("title",), ("price",), ("title", "price")):
        raw = eval_split.raw | {name: emptied[name] for name in names}
        for head, expected in predictor.predict(raw).items():
            np.testing.assert_allclose(
                predictor.predict_features(features, names)[head], expected, atol=1e-6
            )


def test_rows_have_the_predictions_and_labels_of_the_pipeline(folder, schema, model):
    eval_split, _ = load_eval_split(
        predictor_of(model, CONFIG, schema),
        folder / "records",
        "test",
        "label",
        read_table(table()),
    )
    assert eval_split.table is not None
    names = np.array([*schema.heads["label"].names, None], object)
    known = eval_split.known
    np.testing.assert_array_equal(
        names[eval_split.labels[known]], eval_split.table["label"].to_numpy()[known]
    )
    assert (eval_split.labels[~known] == -1).all()
    np.testing.assert_array_equal(eval_split.present[:, 0], eval_split.table["title"].notna())


def test_the_row_limit_is_a_reproducible_sample(folder, schema, model):
    predictor = predictor_of(model, CONFIG, schema)
    one, other = (
        load_eval_split(predictor, folder / "records", "train", "label", max_rows=10, seed=3)[0]
        for _ in range(2)
    )
    assert len(one.rows) == 10
    np.testing.assert_array_equal(one.rows, other.rows)


@pytest.mark.parametrize(
    ("head", "unit"), [("age", "negative absolute error"), ("tags", "share of labels right")]
)
def test_heads_of_numbers_and_of_several_labels_have_a_report_too(
    head, unit, folder, schema, model, tmp_path
):
    found = model_report(
        model, folder / "records", tmp_path / "report", CONFIG, schema, head=head, **FEW
    )
    assert found.contributions.n > 5
    assert any(unit in sentence.lower() for sentence in found.page.summary)


def single(name, schema):
    """A run, untrained, that reads one input."""
    config = Config.model_validate(
        CONFIG.model_dump() | {"inputs": {name: CONFIG.inputs[name].model_dump()}}
    )
    return types.SimpleNamespace(model=build_model(config, schema), config=config, schema=schema)


def test_a_model_of_one_input_and_a_baseline_are_compared(folder, schema, model, tmp_path):
    options = {"unimodal": {"title": single("title", schema)}, "baseline": model}
    found = model_report(
        model, folder / "records", tmp_path / "report", CONFIG, schema, **options, **FEW
    )
    inputs, damage = found.page.sections[:2]
    table = block(inputs, "Inputs")
    assert table.columns[-1].name == "unimodal, trained alone"
    assert [row[-1] is None for row in table.rows] == [False, True, True]
    summary = block(damage, "Robustness by input")
    effective = [
        row[[column.name for column in summary.columns].index("effective robustness")].value
        for row in summary.rows
    ]
    # against itself
    assert effective == pytest.approx([0.0] * len(effective))


def block(section, title):
    return next(each for each in section.blocks if getattr(each, "title", "") == title)


def test_changed_cells_have_the_predictions_of_whole_rows_with_these_cells(folder, schema, model):
    """Only changed cells are decoded anew."""
    predictor = predictor_of(model, CONFIG, schema)
    eval_split, features = load_eval_split(predictor, folder / "records", "test", "label")
    changed = {"title": np.roll(eval_split.raw["title"], 1), "price": eval_split.raw["price"] + 1}
    for names in (["title"], ["price"], ["title", "price"]):
        cells = {name: changed[name] for name in names}
        for head, expected in predictor.predict(eval_split.raw | cells).items():
            np.testing.assert_allclose(
                predictor.predict_changed(features, cells)[head], expected, atol=1e-6
            )


def test_the_number_of_corrupted_rows_is_shown(report):
    notes = [each.text for each in report.page.sections[1].blocks if isinstance(each, Note)]
    assert notes == [
        f"8 of the {report.contributions.n} rows with a label were corrupted, a sample."
    ]
    assert len(report.robustness.clean) == 8


def test_intervals_draw_the_split_s_groups(folder, schema, model, tmp_path):
    grouped = CONFIG.model_copy(
        update={"split": CONFIG.split.model_copy(update={"group": "colour"})}
    )
    options = {"table": read_table(table()), **FEW}
    found = model_report(model, folder / "records", tmp_path / "report", grouped, schema, **options)
    assert found.page.made_with["intervals"] == "95 %, 50 bootstrap resamples of groups of colour"
    assert found.contributions.groups < found.contributions.n


def test_without_the_table_intervals_draw_rows_and_the_page_says_so(
    folder, schema, model, tmp_path
):
    found = model_report(model, folder / "records", tmp_path / "report", CONFIG, schema, **FEW)
    assert found.page.made_with["intervals"] == "95 %, 50 bootstrap resamples of rows"
    assert found.page.made_with["table"].endswith(", which could not be read")


# --- refused in a sentence, and nothing written


def refused(tmp_path, match, *arguments, **options):
    with pytest.raises((ValueError, OSError), match=match):
        model_report(*arguments[:2], tmp_path / "report", *arguments[2:], **options)
    assert not (tmp_path / "report").exists()


def test_unknown_heads(folder, schema, model, tmp_path):
    refused(
        tmp_path,
        r"head must be one of \['label', 'tags', 'age'\], received 'x'",
        model,
        folder / "records",
        CONFIG,
        schema,
        head="x",
    )


def test_a_keras_model_without_its_configuration(folder, model, tmp_path):
    refused(
        tmp_path,
        "a Keras model must come with its config and its schema, received it without",
        model,
        folder / "records",
    )


def test_other_models_that_do_not_fit(folder, schema, model, tmp_path):
    renamed = schema.model_copy(
        update={"heads": schema.heads | {"label": Classes(names=["b", "c", "x"], counts=[1, 1, 1])}}
    )
    whole = types.SimpleNamespace(model=model, config=CONFIG, schema=schema)
    for options, message in (
        ({"unimodal": {"photo": whole}}, "unimodal: must be by input, one of .*, received 'photo'"),
        (
            {"unimodal": {"title": whole}},
            "unimodal: the model of 'title' must read this input only, received .*'price'",
        ),
        (
            {"unimodal": {"title": single("title", renamed)}},
            r"must have the classes .* in 'label', received \['b', 'c', 'x'\]",
        ),
    ):
        refused(tmp_path, message, model, folder / "records", CONFIG, schema, **options)
    refused(
        tmp_path,
        r"baseline: must read inputs of \['title'\], received one that reads 'price'",
        single("title", schema),
        folder / "records",
        baseline=whole,
    )


def test_numbers_out_of_range(folder, schema, model, tmp_path):
    for name, number, least in (
        ("rows", 1, 2),
        ("corrupted", 0, 2),
        ("resamples", -1, 0),
        ("seed", -1, 0),
    ):
        message = f"{name} must be {least} or more, received {number}"
        refused(tmp_path, message, model, folder / "records", CONFIG, schema, **{name: number})


def test_a_split_of_one_class_and_of_one_row(schema, model, tmp_path):
    whole = table()
    for name, rows, message in (
        (
            "one class",
            whole["label"] == "b",
            "must have rows of two classes of 'label' or more, received 'b' only",
        ),
        (
            "one row",
            whole.index == whole.index[whole["split"] == "test"][1],
            "must have two rows or more with a label of 'label', received 1",
        ),
    ):
        part = whole[(whole["split"] != "test") | rows].reset_index(drop=True)
        case.ingested(tmp_path / name, CONFIG, part)
        refused(tmp_path, message, model, tmp_path / name, CONFIG, schema)


def test_an_input_missing_in_all_rows_is_reported(schema, model, tmp_path):
    part = table()
    part.loc[part["split"] == "test", "price"] = np.nan
    case.ingested(tmp_path / "records", CONFIG, part)
    found = model_report(model, tmp_path / "records", tmp_path / "report", CONFIG, schema, **FEW)
    assert (
        found.page.summary[0] == "No row of the test split has price, so nothing is known about it."
    )


def test_predictions_that_are_nan(folder, schema, tmp_path):
    broken = keras.models.load_model(folder / "run" / "model.keras")
    broken.trainable_variables[-1].assign(broken.trainable_variables[-1] * np.nan)
    refused(
        tmp_path,
        "predictions must be finite numbers, received NaN",
        broken,
        folder / "records",
        CONFIG,
        schema,
    )


def test_a_saved_model_that_is_not_ours(folder, tmp_path):
    tf.saved_model.save(tf.Module(), str(tmp_path / "other" / "1"))
    refused(
        tmp_path,
        "must be a SavedModel that export_model wrote",
        tmp_path / "other" / "1",
        folder / "records",
    )


def test_a_folder_with_other_files(folder, schema, model, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("x")
    with pytest.raises(FileExistsError, match=r"which holds thesis\.txt"):
        model_report(model, folder / "records", tmp_path / "taken", CONFIG, schema)
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["thesis.txt"]


def test_another_table(folder, schema, model, tmp_path):
    other = read_table(case.frame())
    refused(
        tmp_path,
        "table: must be the one that was ingested, of 99 rows, received",
        model,
        folder / "records",
        CONFIG,
        schema,
        table=other,
    )


# --- the command line


def test_the_command_writes_the_report_of_a_run_and_of_a_saved_model(
    folder, tmp_path, monkeypatch, capsys
):
    for model in (folder / "run", folder / "model" / "1"):
        out = tmp_path / model.name
        words = ["report", model, folder / "records", "--out", out, "--corrupted", "8"]
        monkeypatch.setattr(sys, "argv", ["multimodal-tf", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert not stop.value.code
        assert "The model relies almost entirely on title" in capsys.readouterr().out
        assert (out / "index.html").is_file()
