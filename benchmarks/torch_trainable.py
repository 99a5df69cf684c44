"""A trainable whose module imports torch, as most people's do."""

from typing import Any

import torch


def train(config: dict[str, Any]) -> dict[str, float]:
    """Return a score after touching torch once."""
    return {"score": float(torch.tensor(config["x"]))}
