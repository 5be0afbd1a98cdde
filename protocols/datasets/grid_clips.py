"""GRID clips: what a name and an alignment say, and the pixels and samples that are kept of the media."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from protocols.datasets import Progress
from protocols.datasets.media import SAMPLE_RATE, decode, file_problem
from protocols.datasets.movement import pool
from protocols.examples import DataError

FPS = 25
SAMPLES_PER_FRAME = SAMPLE_RATE // FPS
UNITS_PER_FRAME = 1000  # alignments count in thousandths of a frame
SHAPE = (144, 180)  # rows, columns of a frame
MOUTH = slice(90, 126), slice(56, 104)
FACE = slice(32, 128), slice(28, 124)
PAUSES = ("sil", "sp")

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LETTERS = tuple("abcdefghijklmnopqrstuvxyz")  # GRID leaves out w, the only letter of more than one syllable
# The six letters of a clip's name, in order: what each may be, and the word that it stands for.
SLOTS = {
    "command": {word[0]: word for word in ("bin", "lay", "place", "set")},
    "colour": {word[0]: word for word in ("blue", "green", "red", "white")},
    "preposition": {word[0]: word for word in ("at", "by", "in", "with")},
    "letter": {letter: letter for letter in LETTERS},
    "digit": dict(zip("z123456789", DIGITS, strict=True)),
    "adverb": {word[0]: word for word in ("again", "now", "please", "soon")},
}


class Word(NamedTuple):
    """A word and its time, in thousandths of a frame."""

    text: str
    start: int
    stop: int


def video_path(folder: Path, clip: str) -> Path:
    return folder / "s1" / f"{clip}.mp4"


def alignment_path(folder: Path, clip: str) -> Path:
    return folder / "align" / "s1" / f"{clip}.align"


def read_alignment(path: Path) -> list[Word]:
    """The six words of a clip, one for each of ``SLOTS``.

    Raises:
        DataError: without the file, for a line that is not ``start stop word``, for times that run
            backwards, for other than six words, and for a word that the clip's name contradicts.
    """
    words, last = [], 0
    for number, line in enumerate(_text(path).splitlines(), 1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 3 or not (fields[0].isdecimal() and fields[1].isdecimal()):
            raise DataError(
                f"{path}:{number}: {line.strip()!r} has {len(fields)} fields; wanted `start stop word`, "
                "start and stop in whole thousandths of a frame."
            )
        word = Word(fields[2], int(fields[0]), int(fields[1]))
        if not last <= word.start < word.stop:
            raise DataError(
                f"{path}:{number}: {line.strip()!r} runs backwards or into the line before, which ends at {last}."
            )
        last = word.stop
        if word.text not in PAUSES:
            words.append(word)
    _check_words(path, [word.text for word in words])
    return words


def _text(path: Path) -> str:
    if problem := file_problem(path):
        raise DataError(problem)
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a text of ASCII letters ({error}). Fetch this alignment again.") from None


def _check_words(path: Path, words: list[str]) -> None:
    clip = path.stem
    if len(clip) != len(SLOTS) or any(letter not in known for letter, known in zip(clip, SLOTS.values(), strict=True)):
        raise DataError(
            f"{path}: {clip!r} is not the name of a GRID clip. Wanted six letters, first letters of "
            "command, colour, preposition, then letter, digit (z for zero) and adverb, as in bbaf2n."
        )
    for (slot, known), letter, place in zip(SLOTS.items(), clip, range(len(SLOTS)), strict=True):
        found = words[place] if place < len(words) else None
        if found != known[letter]:
            said = f"the word is {found!r}" if found else f"there is no word, only {len(words)} of {len(SLOTS)}"
            raise DataError(
                f"{path}: {slot}: {said}, but the clip's name {clip!r} says {known[letter]!r}. "
                "Fetch this alignment again, or put the clip's own name back."
            )
    if len(words) > len(SLOTS):
        raise DataError(f"{path}: {len(words)} words ({' '.join(words)}); a GRID sentence has {len(SLOTS)}.")


def read_clip(path: Path) -> dict[str, np.ndarray]:
    """What is kept of one file: audio (S,) int16, mouth (T, 36, 48) uint8, face (T, 48, 48) uint8.

    Raises:
        DataError: as ``media.decode`` does, and for frames of another size or rate.
    """
    clip = decode(path)
    if clip.frames.shape[1:] != SHAPE or abs(clip.fps - FPS) > 0.01:
        height, width = clip.frames.shape[1:]
        raise DataError(
            f"{path}: {width}x{height} pixels at {clip.fps:g} frames a second; wanted {SHAPE[1]}x{SHAPE[0]} at {FPS}. "
            "Re-encode the corpus as its card describes."
        )
    return {
        "audio": clip.samples,
        "mouth": clip.frames[:, *MOUTH],
        "face": np.rint(pool(clip.frames[:, *FACE])).astype(np.uint8),
    }


def read_clips(paths: list[Path], progress: Progress) -> Iterator[dict[str, np.ndarray]]:
    """``read_clip`` of each path, in order, by as many threads as there are cores: FFmpeg and numpy free them."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        try:
            results = threads.map(read_clip, paths)
            for _ in progress(paths, "Decoding GRID"):
                yield next(results)
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
