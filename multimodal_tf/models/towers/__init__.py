"""One input -> one vector: functions over Keras tensors, one module for each kind of input.

A tower is called with its input's configuration `part`, its Keras tensor `x`, `name`, with which every layer's name begins, and `last`, the
name of the last layer, whose output `(batch, dim)` is returned. A tower whose rows meet (in batch normalisation) also takes
`present`, float `(batch,)`, 1 or 0, or None if the model does not know presence; `build` zeroes the values of absent rows before the tower
and their vectors after it. What only some kinds need from the schema comes last.
"""
