"""VGGSound: web clips of 10 s, one of 309 sounds each, whose source is seen.

Source: Chen et al. 2020.
"""

from pathlib import Path

from protocols.datasets import Card, Standard
from protocols.datasets.clips import INPUTS, Clip, ClipSet, Listing, by_hash, read_rows
from protocols.examples import DataError

CARD = Card(
    title="VGGSound",
    owner="Visual Geometry Group, University of Oxford",
    folder="vggsound",
    home="https://www.robots.ox.ac.uk/~vgg/data/vggsound/",
    licence="list CC BY 4.0; the clips belong to those who uploaded them",
    citation="Chen et al. 2020, ICASSP, arXiv:2004.14368",
    inputs=INPUTS,
    targets=("sound",),
    counts={"sounds": 309},
    layout="vggsound.csv and clips/<video>_<second in six digits>.mp4, as in clips/---g-f_I2yQ_000001.mp4",
    obtain=(
        "Download vggsound.csv from the home page. The clips have to be fetched from the video site, as far as they "
        "are still there, and cut to the 10 s from the given second on."
    ),
    aligned=False,
    splits={
        "official": Standard(
            "The fourth column of the list. It has no validation part: the tenth of the training videos whose names "
            "hash to 0 is ours.",
        ),
    },
    traps=(
        "Clips vanish from the video site: MBT could have 172,427 training and 14,448 test clips in 2021. Name in "
        "absent.txt what you cannot have; no two papers have the same test part.",
        "The cache takes 320 KB of sound a clip, and 230 KB of movement or 1.2 MB of frames.",
    ),
)


def _rows(folder: Path) -> dict[str, tuple[str, str, str]]:
    """Clip -> video, sound and part."""
    found: dict[str, tuple[str, str, str]] = {}
    for where, (video, second, sound, part, *_) in read_rows(folder / "vggsound.csv", 4, CARD):
        if not second.isdecimal() or part not in ("train", "test"):
            raise DataError(
                f"{where}: {second},{sound},{part}; wanted a second, a sound, and train or test. {CARD.obtain}"
            )
        name = f"{video}_{int(second):06}"
        if name in found:
            raise DataError(f"{where}: {name} stands twice. {CARD.obtain}")
        found[name] = video, sound, part
    return found


def _listing(folder: Path, target: str) -> Listing:
    rows = _rows(folder)
    sounds = tuple(sorted({sound for _, sound, _ in rows.values()}))
    if len(sounds) != CARD.counts["sounds"]:
        raise DataError(
            f"{folder / 'vggsound.csv'}: {len(sounds)} sounds, expected {CARD.counts['sounds']}. {CARD.obtain}"
        )
    index = {sound: place for place, sound in enumerate(sounds)}
    clips = [Clip(name, index[sound], folder / "clips" / f"{name}.mp4") for name, (_, sound, _) in rows.items()]
    return Listing(sounds, tuple(clips))


CLIPS = ClipSet(CARD, _listing, fps=10)
check, load = CLIPS.check, CLIPS.load


def split(root: Path, name: str, ids: tuple[str, ...]) -> dict[str, str]:
    """The part of each clip.

    Raises:
        DataError: for an unknown split, and for a list that is missing or not as the card describes it.
    """
    CLIPS.check_split(name)
    rows = _rows(Path(root) / CARD.folder)
    return {
        clip: "validation" if rows[clip][2] == "train" and by_hash(rows[clip][0]) else rows[clip][2] for clip in ids
    }
