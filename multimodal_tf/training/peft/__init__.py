"""Parameter-efficient fine-tuning (PEFT): what of a model is trained, and what is added to it.

All functions change a functional `keras.Model` in place, before it is compiled. Layers are chosen
by patterns over their paths (`models.peft.layer_paths.layers`). A `.keras` file of such a model
restores what was added and what is trained.
"""

from multimodal_tf.training.layerwise_learning_rates import (
    LayerwiseAdamW,
    LayerwiseSGD,
    learning_rate_factors,
)
from multimodal_tf.training.peft.add import add_adapters, add_lora, merge_lora
from multimodal_tf.training.peft.apply import apply_peft
from multimodal_tf.training.peft.freeze import (
    freeze,
    freeze_all,
    train_biases_only,
    train_head_only,
    unfreeze,
)
from multimodal_tf.training.peft.gradual_unfreezing import GradualUnfreezing
from multimodal_tf.training.peft.heads import replace_heads
from multimodal_tf.training.peft.save import load_peft, save_peft
from multimodal_tf.training.peft.summary import (
    ParameterCount,
    TrainableSummary,
    trainable_summary,
)

__all__ = [
    "GradualUnfreezing",
    "LayerwiseAdamW",
    "LayerwiseSGD",
    "ParameterCount",
    "TrainableSummary",
    "add_adapters",
    "add_lora",
    "apply_peft",
    "freeze",
    "freeze_all",
    "learning_rate_factors",
    "load_peft",
    "merge_lora",
    "replace_heads",
    "save_peft",
    "train_biases_only",
    "train_head_only",
    "trainable_summary",
    "unfreeze",
]
