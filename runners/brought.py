"""Published numbers that wait for data: whether the data are here now, and where they belong. Imports no torch."""

from pathlib import Path

from protocols.datasets import dataset
from protocols.paper import Cell
from protocols.spec import committed


def folder(protocol: str) -> str:
    """Of a protocol's data, below the data root."""
    name, _, own = committed()[protocol].dataset.partition("/")
    return own or dataset(name).CARD.folder


def here(cell: Cell, data_root: Path) -> bool:
    """Whether a cell can be recomputed: at once, or because its data are there now.

    That is their folder, or their file where the data set knows it by name.
    """
    if cell.state == "data" and cell.run.protocol:
        name, _, own = committed()[cell.run.protocol].dataset.partition("/")
        if not own and hasattr(dataset(name), "present"):
            return dataset(name).present(data_root)
        return (Path(data_root) / folder(cell.run.protocol)).is_dir()
    return cell.state == "now"


def places(cells: list[Cell]) -> list[str]:
    """For each protocol of some cells that wait: the folder, and what lies in it.

    Features of one's own are cut as the protocol's description says; how any such folder is written stands last, once.
    """
    found, written = [], []
    for protocol in dict.fromkeys(cell.run.protocol for cell in cells if cell.run.protocol):
        spec = committed()[protocol]
        name, _, own = spec.dataset.partition("/")
        layout = dataset(name).CARD.layout
        found.append(f"{folder(protocol)}/ below the data root, for {protocol}: {spec.description if own else layout}")
        if own:
            written = [f"files of each folder: {layout}"]
    return found + written
