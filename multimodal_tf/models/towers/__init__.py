"""One input -> tokens and one vector: functions over Keras tensors, one module for each kind of tower.

All are called alike, `tower(part, learnt, x, present, name, last)`, and return an `Encoding`:

- `part`: the input's configuration; what only this tower needs is in `part.tower`.
- `learnt`: what the schema holds for the input, or None.
- `x`: its Keras tensor; rows where the input is absent are zeros.
- `present`: float `(batch,)`, 1 or 0, or None if the model does not know presence. Only a tower whose rows meet (batch normalisation) needs
  it; a tower around a library's network runs that on the present rows alone (`presence.OnPresentRows`).
- `name`: the input's; every layer's name begins with it and an underscore.
- `last`: name of the last layer, whose output is the vector.

`build` zeroes what comes out for absent rows. Layers that lead to tokens only are no part of a model that does not use them.
"""
