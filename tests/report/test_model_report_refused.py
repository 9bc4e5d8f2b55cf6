"""What a model report refuses, in a sentence; nothing is written then."""

import types

import pytest
import small_table
import tensorflow as tf
import title_table
from title_table import CONFIG

from multimodal_tf.data.table import read_table
from multimodal_tf.evaluation.predictor import Predictor
from multimodal_tf.models.build import build_model
from multimodal_tf.report.model import model_report
from multimodal_tf.schema import Classes


def refused(tmp_path, match, model, records, **options):
    with pytest.raises((ValueError, OSError), match=match):
        model_report(model, records, tmp_path / "report", **options)
    assert not (tmp_path / "report").exists()


def test_unknown_heads(trained, records, tmp_path):
    message = r"head must be one of \['label', 'tags', 'age'\], received 'x'"
    refused(tmp_path, message, trained, records, head="x")


def test_a_keras_model_without_its_configuration(trained, records, tmp_path):
    message = "a Keras model must come with its config and its schema, received it without"
    refused(tmp_path, message, trained.model, records)


def of_titles(schema):
    """A run, untrained, that reads the title only."""
    config = CONFIG.model_copy(update={"inputs": {"title": CONFIG.inputs["title"]}})
    return types.SimpleNamespace(model=build_model(config, schema), config=config, schema=schema)


def test_other_models_that_do_not_fit(trained, records, tmp_path):
    schema = trained.schema
    renamed = schema.model_copy(
        update={"heads": schema.heads | {"label": Classes(names=["b", "c", "x"], counts=[1, 1, 1])}}
    )
    for unimodal, message in (
        ({"photo": trained}, "unimodal: must be by input, one of .*, received 'photo'"),
        (
            {"title": trained},
            "unimodal: the model of 'title' must read this input only, received .*'price'",
        ),
        (
            {"title": of_titles(renamed)},
            r"must have the classes .* in 'label', received \['b', 'c', 'x'\]",
        ),
    ):
        refused(tmp_path, message, trained, records, unimodal=unimodal)
    message = r"baseline: must read inputs of \['title'\], received one that reads 'price'"
    refused(tmp_path, message, of_titles(schema), records, baseline=trained)


@pytest.mark.parametrize(
    ("name", "number", "least"),
    [("rows", 1, 2), ("corrupted", 0, 2), ("resamples", -1, 0), ("seed", -1, 0)],
)
def test_numbers_out_of_range(predictor, records, tmp_path, name, number, least):
    message = f"{name} must be {least} or more, received {number}"
    refused(tmp_path, message, predictor, records, **{name: number})


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        (
            lambda frame: frame["label"] == "b",
            "must have rows of two classes of 'label' or more, received 'b' only",
        ),
        (
            lambda frame: frame.index == frame.index[frame["split"] == "test"][1],
            "must have two rows or more with a label of 'label', received 1",
        ),
    ],
    ids=["one class", "one row"],
)
def test_a_split_with_too_little(predictor, tmp_path, kept, message):
    frame = title_table.frame()
    frame = frame[(frame["split"] != "test") | kept(frame)].reset_index(drop=True)
    small_table.ingested(tmp_path / "records", CONFIG, frame)
    refused(tmp_path, message, predictor, tmp_path / "records")


def test_predictions_that_are_nan(trained, records, tmp_path):
    def broken(inputs):
        outputs = trained.model(inputs)
        return outputs | {"age": outputs["age"] * float("nan")}

    model = Predictor(trained.config, trained.schema, broken, lambda inputs: {})
    refused(tmp_path, "predictions must be finite numbers, received NaN", model, records)


def test_a_saved_model_that_is_not_ours(records, tmp_path):
    tf.saved_model.save(tf.Module(), str(tmp_path / "other" / "1"))
    message = "must be a SavedModel that export_model wrote"
    refused(tmp_path, message, tmp_path / "other" / "1", records)


def test_a_folder_with_other_files(trained, records, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("x")
    with pytest.raises(FileExistsError, match=r"which holds thesis\.txt"):
        model_report(trained, records, tmp_path / "taken")
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["thesis.txt"]


def test_another_table(predictor, records, tmp_path):
    other = read_table(small_table.frame())
    message = "table: must be the one that was ingested, of 99 rows, received"
    refused(tmp_path, message, predictor, records, table=other)
