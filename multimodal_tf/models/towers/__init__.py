"""One input -> tokens and one vector: functions over Keras tensors, one module for each kind of
tower.

All are called alike, `tower(part, learned, x, present, name, last)`, and return an `Encoding`:

- `part`: the input's configuration; what only this tower needs is in `part.tower`.
- `stats`: what the schema holds for the input, or None.
- `x`: its Keras tensor; rows where the input is absent are zeros.
- `present`: float `(batch,)`, 1 or 0, or None if the model does not know presence. Only a tower
  whose rows meet (batch normalisation) needs it; a tower around a library's network runs that on
  the present rows alone (`presence.MaskedNetwork`).
- `name`: the input's; every layer's name begins with it and an underscore.
- `last`: name of the last layer, whose output is the vector.

`encode` augments what goes in, in training, and zeroes what comes out for absent rows. Layers that
lead to tokens only are no part of a model that does not use them.

Example:
    >>> import keras
    >>> from multimodal_tf.config import ImageInput
    >>> from multimodal_tf.models.towers.image import cnn
    >>> photo = keras.Input((96, 96, 3))
    >>> tokens, mask, vector = cnn(ImageInput(), None, photo, None, "photo", "photo_vector")
    >>> keras.Model(photo, vector).output_shape, tokens.shape
    ((None, 128), (None, 36, 128))
"""
