"""Read the tensors of a Flax checkpoint: MessagePack with arrays as an extension type. No code is run by it.

Source   google/flax, flax/serialization.py: extension 1 is an array, packed as (shape, name of the type, bytes in
         C order); 3 is a scalar in the same form; arrays of a gibibyte and more are maps of flat chunks.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

ARRAY, SCALAR = 1, 3
CHUNKED = "__msgpack_chunked_array__"


def read(path: Path) -> dict[str, Any]:
    """Nested dictionaries as the file has them, with tensors in the place of arrays.

    Raises:
        ValueError: if it is not MessagePack, or holds what is neither an array, a number nor a dictionary of them.
    """
    import msgpack

    limit = path.stat().st_size
    content = msgpack.unpackb(
        path.read_bytes(), ext_hook=_array, strict_map_key=False, max_bin_len=limit, max_ext_len=limit
    )
    if not isinstance(content, dict):
        raise ValueError(f"its top level is {type(content).__name__}; a Flax checkpoint is a dictionary.")
    return _whole(content)


def _array(code: int, packed: bytes) -> Tensor:
    import msgpack

    if code not in (ARRAY, SCALAR):
        raise ValueError(f"extension type {code} is no real array.")
    shape, kind, content = msgpack.unpackb(packed, max_bin_len=len(packed))
    dtype = getattr(torch, kind if isinstance(kind, str) else kind.decode(), None)
    if not isinstance(dtype, torch.dtype):
        raise ValueError(f"arrays of type {kind!r} are not known to torch.")
    if not content:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(bytearray(content), dtype=dtype).reshape(shape)


def _whole(content: Any) -> Any:
    """Put chunked arrays together."""
    if not isinstance(content, dict):
        return content
    if CHUNKED not in content:
        return {name: _whole(value) for name, value in content.items()}
    shape, chunks = content["shape"], content["chunks"]
    flat = torch.cat([chunks[str(i)] for i in range(len(chunks))])
    return flat.reshape([int(shape[str(i)]) for i in range(len(shape))])
