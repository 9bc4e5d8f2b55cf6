"""`core` of an exported model in LiteRT: every tower that it can take, and which it cannot."""

import numpy as np
import pytest
import tensorflow as tf
from random_rows import rows_of, schema_of, without
from small_towers import TOWERS

from multimodal_tf.config import ClassificationHead, ConcatenationFusion, Config
from multimodal_tf.models.build import build_model
from multimodal_tf.serving import endpoints, export, saved_functions

# loops of tensor lists, and pooling over three axes
LACKING = {
    name
    for name, one in TOWERS.items()
    if one.tower.type in ("lstm", "gru", "crnn", "conv3d")
    or getattr(getattr(one.tower, "over", None), "type", "") == "lstm"
}
# of each kind of tower that converts the first; others differ in settings
CONVERTED = {
    (type(TOWERS[name]), TOWERS[name].tower.type): name
    for name in reversed(TOWERS)
    if name not in LACKING
}.values()


def core(names, folder):
    """`(converter, core, rows)` of a model with these towers; each input misses a row."""
    config = Config(
        inputs={f"input_{number}": TOWERS[name] for number, name in enumerate(names)},
        heads={"label": ClassificationHead()},
        fusion=ConcatenationFusion(hidden=[8]),
    )
    model, rows = build_model(config, schema_of(config)), rows_of(config, 4)
    for number, name in enumerate(config.inputs):
        rows = without(rows, name, np.arange(4) == number % 4)
    specs = {name: tf.TensorSpec(x.shape, x.dtype, name) for name, x in model.input.items()}
    function = endpoints.core(model)
    tables = export.tables_of(model)
    saved_functions.save({"core": (function, specs)}, tables, folder)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=["core"])
    given = {name: np.asarray(one, specs[name].dtype.as_numpy_dtype) for name, one in rows.items()}
    return converter, function, given


@pytest.mark.slow
def test_every_tower_that_litert_can_take_answers_the_same(tmp_path):
    assert len(CONVERTED) >= 12
    converter, function, rows = core(CONVERTED, tmp_path)
    interpreter = tf.lite.Interpreter(model_content=converter.convert())
    converted = interpreter.get_signature_runner("core")
    for count in (4, 1):
        some = {name: one[:count] for name, one in rows.items()}
        expected = function({name: tf.constant(one) for name, one in some.items()})
        for name, one in converted(**some).items():
            np.testing.assert_allclose(one, expected[name], rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gru", "conv3d"])
def test_which_it_cannot_take(kind, tmp_path):
    name = next(name for name in TOWERS if TOWERS[name].tower.type == kind)
    assert name in LACKING
    with pytest.raises(Exception, match=r"TensorListReserve|MaxPool3D"):
        core([name], tmp_path)[0].convert()
