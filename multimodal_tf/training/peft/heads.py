"""A trained model for another table: its towers, with new heads."""

from collections.abc import Collection
from typing import Any

import keras

from multimodal_tf.config import EMBEDDING, TABULAR, Config
from multimodal_tf.models.build import build_model
from multimodal_tf.models.peft import layer_paths
from multimodal_tf.schema import Schema
from multimodal_tf.training.peft.freeze import is_added
from multimodal_tf.training.run_dir import Run


def replace_heads(config: Config, schema: Schema, run: Run) -> tuple[keras.Model, Schema]:
    """A model for another table: the towers of a run, with new heads.

    If the inputs are the same in the same order, the fusion is kept, too: each of its weights that
    has the same path and shape.

    Args:
        config: of the other table. Inputs that the run has keep their towers, which must be the
            same; other towers are new, also those of inputs that no head of the run reads.
        schema: of the other table.
        run: from `fit` or `load_run`; not changed.

    Returns:
        The model, and the schema for training, evaluating and serving it. It has the other table's
        classes, and for the run's inputs the run's vocabularies and means, which their towers know.

    Raises:
        FileNotFoundError: a pretrained tower's preset no longer exists.
        ValueError: no input is one of the run's; one has another type, tokenizer or tower than in
            the run; or the run's model has LoRA or adapters. `merge_lora` merges LoRA and linear
            adapters; a model with others cannot be used.

    Example:
        >>> model, schema = replace_heads(config, schema, load_run("runs/shop"))  # doctest: +SKIP
        >>> fit(config, schema, "records", "runs/other", model=model)  # doctest: +SKIP
    """
    common = [name for name in config.inputs if name in run.config.inputs]
    if not common:
        raise ValueError(
            f"inputs: must have one of the run's, {list(run.config.inputs)}, "
            f"received {list(config.inputs)}"
        )
    for name in common:
        _check_same(name, run.config.inputs[name], config.inputs[name])
    if any(map(is_added, layer_paths.weights(run.model))):
        raise ValueError(
            "run: must have no LoRA and no adapters, received a model that has: "
            "merge_lora(run.model) first"
        )
    if run.config.training.pruning is not None and config.training.pruning is None:
        raise ValueError(
            "training.pruning: must be set, to keep the zeros of a run that was pruned, "
            "received null"
        )
    known = {name: run.schema.inputs[name] for name in common if name in run.schema.inputs}
    schema = Schema(rows=schema.rows, inputs=schema.inputs | known, heads=schema.heads)
    model = build_model(config, schema)
    _copy_weights(run, config, model, common)
    return model, schema


def _copy_weights(run: Run, config: Config, model: keras.Model, common: Collection[str]) -> None:
    """Copies the weights of common towers, and of the fusion if all inputs are the same."""
    trained = layer_paths.weights(run.model)
    same_fusion = config.vectors() == run.config.vectors()
    both_tabular = config.tabular is not None and run.config.tabular is not None
    layers = {layer.name for layer in run.model.layers}
    # no head of the run may have read an input: then it has no tower there
    towers = {name for name in (*common, *[TABULAR] * both_tabular) if name + EMBEDDING in layers}
    new = layer_paths.weights(model)
    for path, weight in new.items():
        # the model's own weights belong to the heads' losses
        if "/" not in path:
            continue
        owner = layer_paths.owner(model, path)
        old = trained.get(path)
        if old is None and owner in towers:
            old = _renamed(path, owner, run.model, trained.keys() - new.keys())
        if owner in towers and (old is None or old.shape != weight.shape):
            received = "no weight of this name" if old is None else old.shape
            raise ValueError(
                f"{owner}: must have the tower that it has in the run: {path} is {weight.shape} "
                f"here, and there {received}"
            )
        in_fusion = same_fusion and owner not in (*config.inputs, *config.heads)
        same = old is not None and old.shape == weight.shape
        if same and (owner in towers or in_fusion):
            weight.assign(old)


def _renamed(path: str, owner: str, model: keras.Model, spare: Collection[str]) -> Any:
    """The weight of the run that stands for one of a recurrent layer; None: there is none.

    The last one of a tower has another name where something reads the tower's tokens.

    Args:
        path: of the weight in the new model, which the run lacks.
        owner: the input.
        model: of the run.
        spare: paths of the run that the new model lacks.
    """
    own = path.partition("/")[2]
    known = layer_paths.weights(model)
    found = [
        known[one]
        for one in spare
        if "cell/" in own
        and one.partition("/")[2] == own
        and layer_paths.owner(model, one) == owner
    ]
    return found[0] if len(found) == 1 else None


def _check_same(name: str, old: Any, new: Any) -> None:
    for field in ("type", "tokenizer"):
        before, now = getattr(old, field, None), getattr(new, field, None)
        if before != now:
            raise ValueError(
                f"inputs.{name}.{field}: must be {before!r} as in the run, received {now!r}"
            )
