"""What a teacher must be: what is refused, in a sentence, before anything is trained."""

import shutil

import pytest
import small_table
from small_table import CONFIG, with_parts

from multimodal_tf.config import Config, QuantileHead, Training
from multimodal_tf.data.ingest.schema_cache import schema_for
from multimodal_tf.data.ingest.table_ingest import ingest
from multimodal_tf.data.table import read_table
from multimodal_tf.training.fit import fit
from multimodal_tf.training.teacher import find_lessons


def student(teacher, inputs=("price",), heads=("label",), **fields):
    """A small model with a teacher."""
    teacher = teacher if isinstance(teacher, dict) else {"model": str(teacher)}
    return with_parts(inputs, heads, teacher=teacher, training=Training(epochs=1), **fields)


@pytest.fixture(scope="module")
def records(tmp_path_factory, small_records):
    """Records of this module's own, since the cache lies beside them."""
    folder = tmp_path_factory.mktemp("taught") / "records"
    shutil.copytree(small_records, folder)
    return folder


REFUSED = {
    "no model": ({"model": "nowhere"}, {}, "without saved_model.pb"),
    "a head of the teacher": ({"heads": {"label": "age"}}, {}, "same type of target"),
    "no head": ({"heads": {"label": "colour"}}, {}, "received none"),
}


@pytest.mark.parametrize(("teacher", "fields", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(small_run, records, tmp_path, teacher, fields, message):
    config = student({"model": str(small_run)} | teacher, heads=("label",), **fields)
    with pytest.raises(ValueError, match=message) as error:
        fit(config, schema_for(config, records), records, tmp_path / "run", verbose=0)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_a_teacher_of_other_classes_is_refused(small_run, tmp_path):
    frame = small_table.frame()
    frame["label"] = frame["label"].replace("b", "ibis")
    config = student(small_run, heads=("label",))
    ingest(read_table(frame), config, tmp_path / "records", processes=1)
    with pytest.raises(ValueError, match="received the teacher without 'ibis', with 3 classes"):
        fit(config, schema_for(config, tmp_path / "records"), tmp_path / "records", tmp_path / "r")


def test_a_teacher_of_what_the_records_lack_is_refused(small_run, tmp_path):
    config = student(small_run, heads=("label",))
    without = config.model_copy(update={"teacher": None})
    ingest(read_table(small_table.frame()), without, tmp_path / "records", processes=1)
    with pytest.raises(ValueError, match="records lack what it reads .inputs.colour"):
        fit(config, schema_for(config, tmp_path / "records"), tmp_path / "records", tmp_path / "r")


def test_a_teacher_of_other_quantiles_is_refused(small_run, records, small_schema):
    config = student(small_run, heads=("age",))
    heads = {"age": QuantileHead()}
    config = config.model_validate(config.model_dump() | {"heads": heads})
    with pytest.raises(ValueError, match="the same quantiles"):
        find_lessons(config, small_schema, records)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"temperature": 0}, "teacher.temperature: .*greater than or equal to 0.01, received 0"),
        ({"weight": 0}, "teacher.weight"),
        ({"heads": ["colour"]}, r"teacher.heads must be of \['label'\], received 'colour'"),
        ({"model": ["a", "a"]}, "each teacher once"),
        ({"heads": []}, r"teacher.heads: must be a list of heads, or a mapping .* received \[\]"),
        ({"heads": {}}, r"teacher.heads: must be a list of heads, or a mapping .* received \{\}"),
        ({"heads": {"label": ""}}, "teacher.heads: must be a list of heads, or a mapping"),
        *(
            ({"model": model}, "teacher.model: must be the folder of a run or of an exported")
            for model in ([], "", [""], 3, None, {"a": "b"})
        ),
    ],
)
def test_a_wrong_configuration_is_one_sentence(fields, message):
    with pytest.raises(ValueError, match=message) as error:
        student({"model": "runs/teacher"} | fields, heads=("label",))
    # of one field alone
    assert str(error.value).count("received") == 1


def test_a_model_without_anything_to_be_taught_is_refused():
    fields = CONFIG.model_dump() | {"teacher": {"model": "runs/teacher"}}
    heads = {"space": {"type": "alignment", "inputs": ["price", "title"]}}
    with pytest.raises(ValueError, match=r"teacher: needs a head of labels .* \['space'\]"):
        Config(**fields | {"heads": heads})


def test_a_training_does_not_overwrite_its_teacher(small_run, records, tmp_path):
    folder = tmp_path / "teacher"
    shutil.copytree(small_run, folder)
    before = (folder / "model.keras").read_bytes()
    config = student(tmp_path / "x" / ".." / "teacher", heads=("label",))
    with pytest.raises(ValueError, match="another folder than the one that the training writes"):
        fit(config, schema_for(config, records), records, folder, verbose=0, overwrite=True)
    assert (folder / "model.keras").read_bytes() == before


def test_a_teacher_that_is_not_finished_is_refused(small_run, records, tmp_path):
    """As one that is still trained, or whose folder was copied in part."""
    for name in ("run.json", "model.keras", "schema.json"):
        folder = tmp_path / f"without {name}"
        shutil.copytree(small_run, folder)
        (folder / name).unlink()
        config = student(folder, heads=("label",))
        with pytest.raises(ValueError, match="must be the folder of a finished run") as error:
            fit(config, schema_for(config, records), records, tmp_path / "run", verbose=0)
        assert "\n" not in str(error.value)


def test_a_teacher_of_objectives_alone_is_refused(small_run, records, tmp_path):
    folder = tmp_path / "teacher"
    shutil.copytree(small_run, folder)
    theirs = Config.load(folder / "config.yaml").model_dump()
    heads = {"label": {"type": "alignment", "inputs": ["price", "title"]}}
    Config(**theirs | {"heads": heads}).save(folder / "config.yaml")
    config = student(folder, heads=("label",))
    message = r"must have a head of the model's, \['label'\], with the same type of target"
    with pytest.raises(ValueError, match=message):
        fit(config, schema_for(config, records), records, tmp_path / "run", verbose=0)
