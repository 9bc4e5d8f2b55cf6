"""What every signature of an exported model keeps: the batch is its only free axis."""


def check_axes(signatures):
    """TensorFlow Serving's batcher pads other free axes with cells of other rows."""
    for name, signature in signatures.items():
        for key, spec in signature.structured_input_signature[1].items():
            assert spec.shape[0] is None, (name, key)
            assert None not in spec.shape[1:].as_list(), (name, key)
