"""Where things lie: flags, then environment variables, then one settings file, then defaults."""

import os
from dataclasses import dataclass
from pathlib import Path

FILE = "fuseboard.yaml"
FILE_VARIABLE = "FUSEBOARD_SETTINGS"


@dataclass(frozen=True)
class Setting:
    """One setting; the environment variable is ``FUSEBOARD_`` and the name in capitals."""

    default: str
    meaning: str


SETTINGS = {
    "data_root": Setting("data", "folder that holds the data sets you brought"),
    "cache_root": Setting(".fuseboard/cache", "folder for decoded data; safe to delete"),
    "bundle_root": Setting(".fuseboard/bundles", "folder of result bundles: the truth"),
    "database_url": Setting("sqlite:///.fuseboard/board.db", "SQL index of the bundles: SQLite or PostgreSQL"),
    "tracking_url": Setting("sqlite:///.fuseboard/mlflow.db", "MLflow tracking store, or 'off'"),
    "cluster": Setting("local", "Ray cluster: 'local', 'auto' or an address"),
}


class SettingsError(ValueError):
    """A settings file that cannot be used."""


@dataclass(frozen=True)
class Settings:
    """The values in force, and where each came from."""

    data_root: Path
    cache_root: Path
    bundle_root: Path
    database_url: str
    tracking_url: str
    cluster: str
    origins: dict[str, str]

    @classmethod
    def resolve(cls, **flags: str | Path | None) -> "Settings":
        """Look each setting up: flag, variable, file, default.

        Relative folders of the settings file count from the file; all others from the working folder.

        Raises:
            SettingsError: for a file that is missing, not YAML, or holds an unknown key.
        """
        path = Path(os.environ.get(FILE_VARIABLE) or FILE)
        from_file = _read(path)
        values, origins = {}, {}
        for name, setting in SETTINGS.items():
            variable = f"FUSEBOARD_{name.upper()}"
            if flags.get(name) is not None:
                value, origin = str(flags[name]), f"--{name.replace('_', '-')}"
            elif os.environ.get(variable):
                value, origin = os.environ[variable], variable
            elif name in from_file:
                value, origin = str(from_file[name]), str(path)
                if name.endswith("_root"):
                    value = str(path.parent / value)
            else:
                value, origin = setting.default, "default"
            values[name] = Path(value).expanduser().resolve() if name.endswith("_root") else _absolute(value)
            origins[name] = origin
        return cls(**values, origins=origins)


def _absolute(url: str) -> str:
    """SQLite files named relative to the working folder, so that workers elsewhere mean the same file."""
    prefix = "sqlite:///"
    if url.startswith(prefix) and not url.startswith(prefix + "/") and url != "sqlite:///:memory:":
        return prefix + str(Path(url.removeprefix(prefix)).resolve())
    return url


def _read(path: Path) -> dict[str, str]:
    if not path.is_file():
        if os.environ.get(FILE_VARIABLE):
            raise SettingsError(f"{path}: no such settings file ({FILE_VARIABLE} names it).")
        return {}
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: not YAML: {error}") from None
    if not isinstance(values, dict):
        raise SettingsError(f"{path}: wanted lines 'name: value' with {', '.join(SETTINGS)}.")
    if unknown := sorted(values.keys() - SETTINGS.keys()):
        raise SettingsError(f"{path}: unknown setting {unknown[0]!r}. Known: {', '.join(SETTINGS)}.")
    return values
