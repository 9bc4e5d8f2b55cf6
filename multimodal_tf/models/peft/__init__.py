"""Parameter-efficient fine-tuning: LoRA and adapters in the layers of a model."""
