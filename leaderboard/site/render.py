"""Templates to pages. Text is escaped wherever it stands; only http(s) addresses become links."""

import hashlib
import re
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined

HERE = Path(__file__).parent


class Pages:
    """Writes pages below a folder; links between them are relative, so that the site works under any address."""

    def __init__(self, place: Path):
        self.place, self.count = place, 0
        self.environment = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.environment.filters |= {"slug": slug, "size": size_text, "web": web_address, "address": address}
        place.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(HERE / "style.css", place / "style.css")

    def write(self, template: str, name: str, **told: Any) -> None:
        path = self.place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        root = "../" * name.count("/")
        path.write_text(self.environment.get_template(template).render(root=root, **told), encoding="utf-8")
        self.count += 1


def slug(name: str) -> str:
    """A file name that every store takes; a name that had to change for it carries a hash, so that no two meet."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "-", name.replace("@", "-v")).lstrip(".")[:80]
    if plain == name.replace("@", "-v"):
        return plain
    return f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def address(path: str) -> str:
    """A path as it stands in a link."""
    return quote(path)


def web_address(text: str | None) -> str | None:
    """The text if it is an http(s) address, else None: no other scheme becomes a link."""
    try:
        parts = urlsplit(text or "")
    except ValueError:
        return None
    return text if parts.scheme in ("http", "https") and parts.netloc else None


def size_text(size: int) -> str:
    """1536 -> ``1.5 KB``."""
    for unit in ("bytes", "KB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
