"""What every loader asks first: is the request known, and are the files there and whole?"""

import hashlib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

from protocols.datasets import Card
from protocols.examples import DataError

# First bytes of the text file that git-lfs leaves in place of the content.
LFS_POINTER = b"version https://git-lfs"


def check_request(card: Card, target: str, inputs: Mapping[str, str]) -> None:
    """Refuse a target, modality or representation that the data set does not have.

    Raises:
        DataError: listing what is accepted, with the nearest name.
    """
    _known(f"{card.title}: no target", target, card.targets)
    if not inputs:
        raise DataError(f"{card.title}: no modality asked for. Accepted: {', '.join(card.inputs)}.")
    for modality, representation in inputs.items():
        _known(f"{card.title}: no modality", modality, tuple(card.inputs))
        _known(f"{card.title}: no {modality} input", representation, card.inputs[modality])


def _known(what: str, name: str, accepted: tuple[str, ...]) -> None:
    if name not in accepted:
        near = get_close_matches(str(name), accepted, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise DataError(f"{what} {name!r}.{hint} Accepted: {', '.join(accepted)}.")


def missing_files(root: Path, card: Card, files: Mapping[str, str]) -> list[str]:
    """One sentence for each absent or unfetched file; a single one where the whole folder is absent or empty.

    Args:
        files: path below ``card.folder`` -> SHA-256 of the published file.
    """
    folder = root / card.folder
    if not folder.is_dir() or not any(folder.iterdir()):
        state = "is empty" if folder.is_dir() else "does not exist"
        return [f"{card.title}: the folder {folder} {state}. {card.obtain} Wanted there: {', '.join(files)}."]
    found = []
    for name in files:
        path = folder / name
        if not path.is_file():
            found.append(f"{card.title}: {path} is missing. {card.obtain}")
        elif is_pointer(path):
            found.append(pointer_sentence(path))
    return found


def changed_files(root: Path, card: Card, files: Mapping[str, str]) -> list[str]:
    """One sentence for each file whose content is not the published one."""
    found = []
    for name, expected in files.items():
        path = root / card.folder / name
        with open(path, "rb") as stream:
            came = hashlib.file_digest(stream, "sha256").hexdigest()
        if came != expected:
            found.append(
                f"{card.title}: {path} differs from the published file (SHA-256 {came[:12]}..., "
                f"wanted {expected[:12]}...). It is truncated or edited; fetch it again. {card.obtain}"
            )
    return found


def is_pointer(path: Path) -> bool:
    """True for a Git LFS pointer: a clone without LFS has these in place of the content."""
    with open(path, "rb") as stream:
        return stream.read(len(LFS_POINTER)) == LFS_POINTER


def pointer_sentence(path: Path) -> str:
    """What to do about a Git LFS pointer."""
    return f"{path} is a Git LFS pointer, not the content. Run `git lfs pull` in the repository it came from."
