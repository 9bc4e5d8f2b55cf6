"""One input -> one vector: functions over Keras tensors, one module for each kind of input.

A tower is a function `(part, x, name, last)`: `part` is the input's configuration, `x` its Keras tensor, every layer's name begins with
`name`, and the last layer, whose output `(batch, dim)` is returned, is called `last`.
"""
