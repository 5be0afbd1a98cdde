"""A small batch of three modalities, its sequences of unequal lengths."""

import torch

FEATURES = {"audio": 3, "video": 4, "text": 5}


def batch(lengths=(6, 4), modalities=tuple(FEATURES)):
    """Inputs (batch, time, features) of each modality, and which of their steps there are."""
    generator = torch.Generator().manual_seed(1)
    steps = max(lengths)
    inputs = {m: torch.randn(len(lengths), steps, FEATURES[m], generator=generator) for m in modalities}
    return inputs, dict.fromkeys(inputs, torch.arange(steps) < torch.tensor(lengths)[:, None])
