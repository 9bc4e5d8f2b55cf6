"""A trained model for another table: its towers, with new heads."""

import keras

from multimodal_tf.config import TABULAR, Config
from multimodal_tf.models.build import build_model
from multimodal_tf.models.peft import layer_paths
from multimodal_tf.schema import Schema
from multimodal_tf.training.run_dir import Run


def replace_heads(run: Run, config: Config, schema: Schema) -> tuple[keras.Model, Schema]:
    """A model for another table: the towers that a run trained, and new heads.

    The fusion is kept too, where the inputs are the same in the same order: each of its weights
    that has the same path and shape.

    Args:
        run: what `fit` or `load_run` returned; it is not changed.
        config: of the other table. An input that the run has too keeps its tower, and so must have
        the same one; others begin anew.
        schema: what that table taught.

    Returns:
        The model, and the schema to train, evaluate and serve it with: the other table's classes,
        and for inputs that the run has too the run's vocabularies and means, since these are what
        its towers know.

    Raises:
        FileNotFoundError: a pretrained tower's preset is not where it was.
        ValueError: no input is one of the run's, one is of another type, tokenizer or tower than
            there, or the run's model bears LoRA or adapters: `merge` puts LoRA and linear adapters
            into its weights; with others it cannot be taken.

    Example:
        >>> model, schema = replace_heads(load_run("runs/shop"), config, schema)  # doctest: +SKIP
        >>> fit(config, schema, "records", "runs/other", model=model)  # doctest: +SKIP
    """
    common = [name for name in config.inputs if name in run.config.inputs]
    if not common:
        raise ValueError(
            f"inputs: must have one of the run's, {list(run.config.inputs)}, received {list(config.inputs)}"
        )
    for name in common:
        _check_same(name, run.config.inputs[name], config.inputs[name])
    old = layer_paths.weights(run.model)
    if any("/graft/" in path for path in old):
        raise ValueError(
            "run: must bear no LoRA and no adapters, received a model that does: merge(run.model) first"
        )
    known = {name: run.schema.inputs[name] for name in common if name in run.schema.inputs}
    schema = Schema(rows=schema.rows, inputs=schema.inputs | known, heads=schema.heads)
    model = build_model(config, schema)
    same = config.vectors() == run.config.vectors()
    towers = (
        {*common, TABULAR}
        if config.tabular is not None and run.config.tabular is not None
        else {*common}
    )
    for path, weight in layer_paths.weights(model).items():
        # the model's own, which weigh the heads' losses
        if "/" not in path:
            continue
        of = layer_paths.owner(model, path)
        shape = old[path].shape if path in old else None
        if of in towers and shape != weight.shape:
            received = "none of this name" if shape is None else shape
            raise ValueError(
                f"{of}: must have the tower that it has in the run: {path} is {weight.shape} here, and there {received}"
            )
        if shape == weight.shape and (
            of in towers or (same and of not in (*config.inputs, *config.heads))
        ):
            weight.assign(old[path])
    return model, schema


def _check_same(name, old, new):
    for field in ("type", "tokenizer"):
        before, now = getattr(old, field, None), getattr(new, field, None)
        if before != now:
            raise ValueError(
                f"inputs.{name}.{field}: must be {before!r} as in the run, received {now!r}"
            )
