"""Fine-tuning: full or LoRA, losses, batches, the choice of an epoch."""
