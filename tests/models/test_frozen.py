"""The frozen beginning of a model, and the rest from its outputs."""

import contract
import numpy as np
import pytest
from frozen_table import config, image, text
from random_rows import rows_of, schema_of, without

from multimodal_tf.config import ConvTower, ImageInput, KerasTower, LoRA, Peft
from multimodal_tf.models import build_model
from multimodal_tf.training.peft import apply_peft


def built(settings, peft=None):
    model = build_model(settings, schema_of(settings))
    if peft is not None:
        apply_peft(model, peft)
    return model


def with_gaps(settings, rows=6):
    """Random rows; the title is missing in some, if the model knows presence."""
    found = rows_of(settings, rows)
    if not settings.fusion.presence:
        return found
    return without(found, "title", np.arange(rows) % 3 == 1, value=0)


def run_both(model, rows, training):
    """The outputs of the whole model, and of the rest from what the frozen beginning gives."""
    beginning = model.frozen_beginning()
    nothing = {key: np.zeros_like(value[:1]) for key, value in rows.items()}
    missing = {
        name: {key: value.numpy()[0] for key, value in one(nothing).items()}
        for name, one in beginning.inputs.items()
    }
    beginning.start_after(missing)
    batch = {key: value for key, value in rows.items() if key not in beginning.inputs}
    for one in beginning.inputs.values():
        batch |= one(rows)
    # random states are among them
    states = [(one, one.numpy()) for one in model.variables]
    whole = model(rows, training=training)
    for variable, value in states:
        variable.assign(value)
    return whole, beginning.run(batch, model, training)


FUSIONS = {
    "concatenation": {"hidden": [8], "dropout": 0.3, "modality_dropout": 0.5},
    "tokens": {"type": "cross_modal", "dim": 8, "heads": 2, "depth": 1, "modality_dropout": 0.5},
    "decisions": {"type": "decision"},
    "without presence": {"hidden": [8], "presence": False},
}


@pytest.mark.parametrize("fusion", FUSIONS)
def test_the_rest_gives_what_the_whole_model_gives(fusion, pretrained):
    settings = config({"title": text(pretrained)}, fusion=FUSIONS[fusion])
    model, rows = built(settings), with_gaps(settings)
    assert list(model.frozen_beginning().inputs) == ["title"]
    for training in (False, True):
        contract.same(*run_both(model, rows, training), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("presence", [True, False])
def test_in_training_frozen_towers_give_what_they_give_in_inference(presence, pretrained):
    inputs = {
        "title": text(pretrained),
        "photo": image(pretrained),
        "drawing": ImageInput(
            height=8,
            width=8,
            channels=1,
            tower=KerasTower(path=pretrained.keras_model(), layer="features"),
        ),
    }
    settings = config(inputs, fusion={"hidden": [8], "dropout": 0, "presence": presence})
    model, rows = built(settings), with_gaps(settings)
    contract.same(model(rows, training=True), model(rows), rtol=1e-6, atol=1e-7)


def frozen(inputs, peft=None, **fields):
    """The inputs whose towers have a frozen beginning that pays."""
    return sorted(built(config(inputs, **fields), peft).frozen_beginning().inputs)


def test_what_is_trained_or_random_is_not_frozen(pretrained):
    assert frozen({"title": text(pretrained), "photo": image(pretrained)}) == ["photo", "title"]
    assert frozen({"title": text(pretrained, trainable=True)}) == []
    assert frozen({"title": text(pretrained, dropout=0.5, dim=3)}) == ["title"]
    augmented = image(pretrained, augmentation={"flip": "horizontal"})
    assert frozen({"photo": augmented}) == []
    lora = Peft(lora=[LoRA(layers=["title_network"], rank=2)])
    assert frozen({"title": text(pretrained)}, lora) == []
    staged = Peft(freeze=["fused*"], stages=[["title_network"]])
    assert frozen({"title": text(pretrained, trainable=True)}, staged) == []


def test_a_tower_that_peft_freezes_is_frozen_up_to_its_dropout(pretrained):
    tower = ConvTower(filters=[4], dim=3, dropout=0.5)
    inputs = {"photo": ImageInput(height=8, width=8, tower=tower)}
    assert frozen(inputs) == []
    settings = config(inputs, fusion={"hidden": [8], "modality_dropout": 0.5})
    model = built(settings, Peft(freeze=["photo_*"]))
    assert list(model.frozen_beginning().inputs) == ["photo"]
    contract.same(*run_both(model, rows_of(settings, 6), True), rtol=1e-5, atol=1e-6)


def test_the_digest_is_that_of_the_function(pretrained):
    def digest(tower, seed=5, **fields):
        model = built(config({"title": text(pretrained, **tower)}, seed=seed, **fields))
        return model, model.frozen_beginning().inputs["title"].digest

    model, found = digest({})
    # Keras numbers the layers of the second model differently
    assert digest({}, seed=9, fusion={"type": "sum"})[1] == found
    assert digest({"dropout": 0.2})[1] == found
    assert digest({"pooling": "max"})[1] != found
    weight = model.get_layer("title_network").weights[0]
    weight.assign(weight + 1e-3)
    assert model.frozen_beginning().inputs["title"].digest != found
