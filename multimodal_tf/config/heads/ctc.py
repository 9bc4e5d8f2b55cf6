"""What a text head with `decoder: ctc` can read, and which of its settings have no meaning."""

from multimodal_tf.config.inputs import AudioInput, Input, TextInput, VideoInput
from multimodal_tf.config.towers import Conv3DTower, SpectrogramTower, SpectrogramTransformerTower

# the settings of a text head that CTC has
SETTINGS = ("type", "column", "weight", "inputs", "decoder", "tokenizer", "max_tokens")


def sequence_problem(own: Input | None) -> str:
    """Why the tokens of an input do not follow each other in time, one a step, as "must be ...".

    "" where they do.

    Args:
        own: the input; None: the tower over several columns.

    Example:
        >>> sequence_problem(AudioInput(seconds=1, tower=SpectrogramTower()))
        'must have a tower with one token a time step, such as crnn, received spectrogram_cnn'
    """
    if not isinstance(own, AudioInput | TextInput | VideoInput):
        kind = "several columns" if own is None else own.type
        return f"must be a sound, a text or a video, which have time steps, received {kind}"
    if isinstance(own, TextInput) and own.tokenizer.type == "none":
        return "must be a text with tokens, received the tokenizer none"
    tower = own.tower
    such_as = "frames" if isinstance(own, VideoInput) else "crnn"
    of_step = f"must have a tower with one token a time step, such as {such_as}, received"
    if isinstance(tower, SpectrogramTower | Conv3DTower):
        return f"{of_step} {tower.type}"
    if isinstance(tower, SpectrogramTransformerTower) and tower.patch_bins < tower.mel_bins:
        return (
            f"{of_step} {tower.type} with patch_bins of {tower.patch_bins}, less than its "
            f"mel_bins, {tower.mel_bins}"
        )
    return ""
