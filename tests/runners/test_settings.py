import pytest

from runners.settings import SETTINGS, Settings, SettingsError


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """A working folder without a settings file, and no variable set."""
    monkeypatch.chdir(tmp_path)
    for name in (*SETTINGS, "settings"):
        monkeypatch.delenv(f"FUSEBOARD_{name.upper()}", raising=False)


def test_flag_then_variable_then_file_then_default(tmp_path, monkeypatch):
    assert (Settings.resolve().data_root, Settings.resolve().origins["data_root"]) == (tmp_path / "data", "default")
    (tmp_path / "fuseboard.yaml").write_text("data_root: from_file\n")
    found = Settings.resolve()
    assert (found.data_root, found.origins["data_root"]) == (tmp_path / "from_file", "fuseboard.yaml")
    monkeypatch.setenv("FUSEBOARD_DATA_ROOT", "from_variable")
    found = Settings.resolve()
    assert (found.data_root, found.origins["data_root"]) == (tmp_path / "from_variable", "FUSEBOARD_DATA_ROOT")
    found = Settings.resolve(data_root="from_flag")
    assert (found.data_root, found.origins["data_root"]) == (tmp_path / "from_flag", "--data-root")


def test_folders_in_a_settings_file_count_from_the_file(tmp_path, monkeypatch):
    (tmp_path / "team").mkdir()
    (tmp_path / "team" / "settings.yaml").write_text("bundle_root: results\n")
    monkeypatch.setenv("FUSEBOARD_SETTINGS", "team/settings.yaml")
    assert Settings.resolve().bundle_root == tmp_path / "team" / "results"


def test_a_relative_sqlite_file_means_the_same_file_everywhere(tmp_path):
    assert Settings.resolve(database_url="sqlite:///x/board.db").database_url == f"sqlite:///{tmp_path}/x/board.db"
    assert Settings.resolve(database_url="postgresql://h/d").database_url == "postgresql://h/d"


@pytest.mark.parametrize(
    ("text", "said"),
    (
        ("data_rot: x\n", "unknown setting 'data_rot'. Known: data_root"),
        ("- x\n", "wanted lines 'name: value'"),
        ("a: [\n", "not YAML"),
    ),
)
def test_a_bad_settings_file_is_refused(tmp_path, text, said):
    (tmp_path / "fuseboard.yaml").write_text(text)
    with pytest.raises(SettingsError, match=said):
        Settings.resolve()


def test_a_named_settings_file_must_exist(monkeypatch):
    monkeypatch.setenv("FUSEBOARD_SETTINGS", "nowhere.yaml")
    with pytest.raises(SettingsError, match="nowhere.yaml: no such settings file"):
        Settings.resolve()
