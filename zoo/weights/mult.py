"""Key map of MulT: the released code's state dict.

Source   yaohungt/Multimodal-Transformer at a670936, src/models.py: MULTModel. The released training saves the
         whole pickled module; its ``state_dict()`` is what can be imported.
"""


from zoo.weights import Format

LETTERS = {"l": "text", "a": "audio", "v": "video"}
FORMATS: tuple[Format, ...] = ()
