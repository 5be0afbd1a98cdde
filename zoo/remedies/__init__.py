"""Remedies of modality imbalance: training options of any method with uni-modal heads, named in a spec.

A remedy stands around a model: its scores stay the model's own, and only the loss or the gradients of training
change, through ``training_loss``. ``zoo/remedies/keys.py`` says what a spec may name; reading it imports no torch.
"""

from importlib import import_module

from zoo.remedies.keys import Remedy


def remedied(model, remedy: Remedy | None):
    """The model inside its remedy, an ``nn.Module`` of the same ``forward``; the model itself where there is none.

    Raises:
        ValueError: if the remedy does not fit the model; the message names those that it fits.
    """
    if remedy is None:
        return model
    module, name = remedy.target.split(":")
    return getattr(import_module(module), name)(model, **remedy.model_dump(exclude={"name"}))
