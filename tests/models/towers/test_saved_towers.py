"""What a new process loads from Keras files of towers; one process loads all of them."""

import json
import shutil

import contract
import numpy as np
import pytest
from one_input import image
from small_towers import PRETRAINED, TOWERS

from multimodal_tf.config import NoTokenizer, SavedModelTower, TextInput

pytestmark = pytest.mark.slow

# of layers of KerasHub; they are loaded first
TRANSFORMERS = ["text, a transformer", "text, a causal transformer"]
NAMES = [*TRANSFORMERS, *(one for one in (*TOWERS, *PRETRAINED) if one not in TRANSFORMERS)]
LISTED = "text, a SavedModel with a table of words"
TRAINED = "image, a SavedModel that is gone"
PROGRAM = """
import json, pathlib, sys
import keras, numpy as np
import multimodal_tf.models, multimodal_tf.training.run_dir

print(json.dumps("keras_hub" in sys.modules))
folder, names = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2])

def load(name):
    model = keras.saving.load_model(folder / f"{name}.keras")
    rows, outputs = (dict(np.load(folder / f"{name}.{kind}.npz")) for kind in ("rows", "outputs"))
    for head, output in model(rows).items():
        np.testing.assert_allclose(output, outputs[head], rtol=1e-5, atol=1e-6, err_msg=name)
    return model, rows

models = {}
for name in names:
    models[name], rows = load(name)
y = {"label": np.load(folder / "targets.npy")}
steps = [models[name].train_on_batch(rows, y, return_dict=True)["loss"] for _ in range(3)]
print(json.dumps(steps))
import contract
for name, model in models.items():
    contract.same_configuration(model, folder / f"{name}.keras")
print(json.dumps(list(models)))
"""


@pytest.fixture(scope="module")
def loaded(once, pretrained, new_process):
    """What the new process found: whether it has KerasHub at first, losses, and the names."""

    def make(folder):
        made = TOWERS | {name: make(pretrained) for name, make in PRETRAINED.items()}
        made[LISTED] = TextInput(
            tokenizer=NoTokenizer(),
            tower=SavedModelTower(path=pretrained.text_module(listed=True), trainable=True),
        )
        for name in [*NAMES, LISTED]:
            config = contract.with_input(made[name])
            save(contract.model_of(config), contract.rows_of(config, 3), folder, name)
        losses = save_trained(pretrained, folder)
        names = json.dumps([*NAMES, LISTED, TRAINED])
        printed = new_process(PROGRAM, folder, names).splitlines()
        (folder / "found.json").write_text(json.dumps([losses, *map(json.loads, printed)]))

    return json.loads((once("saved_towers", make) / "found.json").read_text())


def save(model, rows, folder, name):
    model.save(folder / f"{name}.keras")
    # NumPy would pickle objects
    texts = {key: values.astype(str) for key, values in rows.items() if values.dtype == object}
    np.savez(folder / f"{name}.rows.npz", **rows | texts)
    np.savez(folder / f"{name}.outputs.npz", **model(rows))


def save_trained(pretrained, folder):
    """Saves a model after a step, without the files of its tower; losses of three more steps."""
    path = shutil.copytree(pretrained.image_module(), folder / "module")
    config = contract.with_input(image(SavedModelTower(path=str(path), trainable=True, dim=4)))
    rows, targets = contract.rows_of(config, 8), contract.targets_of(config, 8)
    model = contract.compiled(config)
    model.train_on_batch(rows, targets)
    save(model, rows, folder, TRAINED)
    np.save(folder / "targets.npy", targets["label"])
    shutil.rmtree(path)
    model.reset_metrics()
    return [model.train_on_batch(rows, targets, return_dict=True)["loss"] for _ in range(3)]


def test_they_have_the_same_outputs_and_configurations_in_a_new_process(loaded):
    assert loaded[3] == [*NAMES, LISTED, TRAINED]


def test_transformers_are_loaded_though_keras_hub_is_not_imported_before(loaded):
    assert loaded[1] is False


def test_the_keras_file_alone_can_be_trained_on(loaded):
    np.testing.assert_allclose(loaded[2], loaded[0], rtol=1e-5)
