"""Evaluation of a split: every row once, rows left out are counted, JSON and tables."""

import io

import keras
import numpy as np
import pytest
import rich.console
import small_table
from sklearn import metrics as sk
from small_table import CONFIG

from multimodal_tf.config import ImageInput
from multimodal_tf.data.pipeline import load_split
from multimodal_tf.evaluation import evaluate as evaluate_module
from multimodal_tf.evaluation.evaluate import Evaluation, evaluate
from multimodal_tf.metrics.classification import classification
from multimodal_tf.metrics.metric import NO_ROWS
from multimodal_tf.models.build import build_model


@pytest.fixture(scope="module")
def model(small_schema):
    keras.utils.set_random_seed(3)
    return build_model(CONFIG, small_schema)


@pytest.fixture(scope="module")
def evaluation(model, small_records, small_schema):
    return evaluate(model.predict, CONFIG, small_schema, small_records, resamples=50)


def at_once(records, schema, split="test"):
    """All rows of the split in one batch of NumPy arrays: `(inputs, targets, weights)`."""
    return next(load_split(CONFIG, schema, records, split, batch_size=1000).as_numpy_iterator())


def text_of(evaluation, width=140):
    console = rich.console.Console(file=io.StringIO(), width=width)
    console.print(evaluation.render())
    return console.file.getvalue()


def constant(schema):
    """A function that predicts the same for every row."""
    label, tags = (np.ones((1, len(schema.heads[name].names))) for name in ("label", "tags"))
    outputs = {"label": label / label.size, "tags": tags / 2, "age": np.ones((1, 1))}
    return lambda inputs: {
        name: np.repeat(one, len(inputs["price"]), axis=0) for name, one in outputs.items()
    }


def test_metrics_are_those_of_all_rows_at_once(evaluation, model, small_records, small_schema):
    inputs, targets, weights = at_once(small_records, small_schema)
    predictions = model.predict(inputs, verbose=0)
    known = {name: weight > 0 for name, weight in weights.items()}
    label, tags, age = (evaluation.heads[name] for name in ("label", "tags", "age"))
    chosen = predictions["label"].argmax(axis=1)[known["label"]]
    assert label.metrics["accuracy"].value == sk.accuracy_score(
        targets["label"][known["label"]], chosen
    )
    assert (
        label.confusion
        == sk.confusion_matrix(targets["label"][known["label"]], chosen, labels=[0, 1, 2]).tolist()
    )
    assert tags.metrics["exact_match"].value == sk.accuracy_score(
        targets["tags"][known["tags"]], predictions["tags"][known["tags"]] >= 0.5
    )
    errors = (predictions["age"] - targets["age"])[known["age"]]
    assert age.metrics["rmse"].value == pytest.approx(np.sqrt((errors**2).mean()), rel=1e-5)
    assert [head.n for head in (label, tags, age)] == [
        int(known[name].sum()) for name in ("label", "tags", "age")
    ]


@pytest.mark.parametrize("batch", [1, 18, 20])
def test_batches_change_nothing(batch, evaluation, model, small_records, small_schema, monkeypatch):
    """19 rows: a ragged tail of 1 row and of none, and a batch that is larger than the split."""
    monkeypatch.setattr(evaluate_module, "BATCH", batch)
    sizes = []

    def predict(inputs):
        sizes.append(len(inputs["price"]))
        return model.predict_on_batch(inputs)

    again = evaluate(predict, CONFIG, small_schema, small_records, resamples=50)
    assert sum(sizes) == 19
    for name, head in evaluation.heads.items():
        assert again.heads[name].confusion == head.confusion
        for metric_name, metric in head.metrics.items():
            assert again.heads[name].metrics[metric_name].value == pytest.approx(
                metric.value, rel=1e-4
            )


def test_rows_that_do_not_count_are_counted(evaluation):
    table = small_table.frame()[lambda rows: rows.split == "test"]
    missing = {name: int(table[name].isna().sum()) for name in ("label", "tags", "age")}
    assert {name: head.missing for name, head in evaluation.heads.items()} == missing
    assert evaluation.heads["label"].unseen == {"zebra": 1}
    assert evaluation.heads["label"].n == 19 - missing["label"] - 1
    assert evaluation.rows == 19


def test_no_label_applies_is_not_missing(tmp_path):
    """An empty list of labels is a label; an unseen label beside a seen one keeps the row."""
    table = small_table.frame(train=30, validation=3, test=4)
    tags = [value.split(";") if isinstance(value, str) else None for value in table["tags"]]
    table["tags"] = [*tags[:-4], [], ["x", "odd"], ["odd"], None]
    schema = small_table.ingested(tmp_path / "records", table=table)
    found = evaluate(constant(schema), CONFIG, schema, tmp_path / "records", resamples=0)
    head = found.heads["tags"]
    assert (head.n, head.missing, head.unseen) == (2, 1, {"odd": 2})


def test_a_perfect_function(small_records, small_schema):
    """`predict` may be any function of arrays: this one returns the labels."""
    _, targets, _ = at_once(small_records, small_schema)
    start = 0

    def predict(inputs):
        nonlocal start
        assert all(isinstance(array, np.ndarray) for array in inputs.values())
        part = slice(start, start := start + len(inputs["price"]))
        return {
            "label": np.eye(3)[targets["label"][part]],
            "tags": targets["tags"][part],
            "age": targets["age"][part],
        }

    heads = evaluate(predict, CONFIG, small_schema, small_records, resamples=0).heads
    assert [heads["label"].metrics[name].value for name in ("accuracy", "auroc")] == [1, 1]
    assert [heads["tags"].metrics[name].value for name in ("exact_match", "auroc")] == [1, 1]
    assert [heads["age"].metrics[name].value for name in ("mae", "r2")] == [0, 1]


def test_model_and_its_predict_are_the_same(evaluation, model, small_records, small_schema):
    assert evaluate(model, CONFIG, small_schema, small_records, resamples=50) == evaluation


def test_predict_of_a_model_prints_nothing(model, small_records, small_schema, capsys):
    evaluate(model.predict, CONFIG, small_schema, small_records, resamples=0)
    assert capsys.readouterr().out == ""


def test_one_row(tmp_path):
    schema = small_table.ingested(
        tmp_path / "records", table=small_table.frame(train=30, validation=3, test=1)
    )
    evaluation = evaluate(constant(schema), CONFIG, schema, tmp_path / "records")
    assert evaluation.rows == 1
    # its only class was never seen
    assert evaluation.heads["label"].n == 0
    assert {metric.reason for metric in evaluation.heads["label"].metrics.values()} == {NO_ROWS}
    assert evaluation.heads["tags"].n + evaluation.heads["tags"].missing == 1
    assert NO_ROWS in text_of(evaluation)


def test_json_and_back(evaluation, tmp_path):
    evaluation.save(tmp_path / "evaluation.json")
    assert Evaluation.load(tmp_path / "evaluation.json") == evaluation


def test_file_that_is_no_evaluation(tmp_path):
    (tmp_path / "broken.json").write_text('{"split": "test"}', encoding="utf-8")
    with pytest.raises(
        ValueError, match=r"broken\.json is not an evaluation: rows: Field required"
    ):
        Evaluation.load(tmp_path / "broken.json")


def test_tables_show_metrics_intervals_and_what_does_not_count(evaluation):
    text, label = text_of(evaluation), evaluation.heads["label"]
    accuracy = label.metrics["accuracy"]
    assert f"n = {label.n}" in text
    assert f"{accuracy.value:.3f}" in text
    assert f"{accuracy.low:.3f} .. {accuracy.high:.3f}" in text
    assert "95% interval" in text
    assert f"{label.missing} without label; 1 with a class that training never saw: zebra" in text


def test_names_from_the_table_are_no_markup():
    head = classification([0, 1], np.eye(2), ["[red]a[/red]", "[/]"], resamples=0)
    head.unseen = {f"[bold]{i}": 1 for i in range(9)}
    text = text_of(Evaluation(split="test", rows=2, resamples=0, seed=0, heads={"label": head}))
    assert "[red]a[/red]" in text
    assert (
        "9 with a class that training never saw: [bold]0, [bold]1, [bold]2, [bold]3, [bold]4, ..."
        in text
    )


@pytest.mark.parametrize(
    ("predict", "message"),
    [
        (
            lambda rows: {"label": np.ones((rows, 3)), "tags": np.ones((rows, 3))},
            r"received \['label', 'tags'\] without 'age'",
        ),
        (
            lambda rows: {
                "label": np.full((rows, 3), np.nan),
                "tags": np.ones((rows, 3)),
                "age": np.ones(rows),
            },
            "head 'label': .*NaN",
        ),
        (
            lambda rows: {
                "label": np.ones((rows, 3)),
                "tags": np.ones((rows, 2)),
                "age": np.ones(rows),
            },
            "head 'tags': .* the shape",
        ),
    ],
)
def test_predictions_that_do_not_fit_are_refused(predict, message, small_records, small_schema):
    with pytest.raises(ValueError, match=message):
        evaluate(lambda inputs: predict(len(inputs["price"])), CONFIG, small_schema, small_records)


def test_other_mistakes_are_refused(model, small_records, small_schema, tmp_path):
    with pytest.raises(ValueError, match="resamples must be 0 or more, received -1"):
        evaluate(model, CONFIG, small_schema, small_records, resamples=-1)
    with pytest.raises(FileNotFoundError, match="ingest a table there first"):
        evaluate(model, CONFIG, small_schema, tmp_path)
    with pytest.raises(ValueError, match="must have rows"):
        evaluate(model, CONFIG, small_schema, small_records, split="night")
    other = CONFIG.model_copy(update={"inputs": {"photo": ImageInput()}})
    with pytest.raises(ValueError, match=r"inputs\.photo: .* was ingested without it"):
        evaluate(model, other, small_schema, small_records)
