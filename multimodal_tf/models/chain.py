"""Layers one after another, named."""


def chain(x, steps, name, last):
    """Calls layers one after another.

    The layers are given as functions, because Keras fixes a layer's name when it is made and only
    here is it known which one is last.

    Args:
        x: Keras tensor.
        steps: dict of step to a function of `name` that makes the layer (or another function of one
        tensor); not empty.
        name: str. A step's layer is called `{name}_{step}`...
        last: str or None. ...but the last one is called this, if it is given.

    Returns:
        Keras tensor, the output of the last layer.

    Example:
        >>> import functools, keras
        >>> dense = functools.partial(keras.layers.Dense, 8)
        >>> chain(keras.Input((4,)), {"first": dense, "second": dense}, "price", "price_embedding").shape
        (None, 8)
    """
    *_, final = steps
    for step, make in steps.items():
        x = make(name=last if last is not None and step == final else f"{name}_{step}")(x)
    return x
