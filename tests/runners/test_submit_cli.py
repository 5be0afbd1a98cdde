"""From a draft to the queue as a person types it; on a shared database, with and without a token."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from leaderboard import store
from leaderboard.store import writing
from runners import cli, indexing

ROOT = Path(__file__).parents[2]


@pytest.fixture
def fuseboard(tmp_path, monkeypatch, capsys):
    """Call a command in a folder of its own; gives (exit code, output, remarks)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FUSEBOARD_BUNDLE_ROOT", str(tmp_path / "bundles"))
    monkeypatch.setenv("FUSEBOARD_DATABASE_URL", f"sqlite:///{tmp_path}/board.db")
    monkeypatch.delenv("FUSEBOARD_TOKEN", raising=False)
    # The results that come with the package take long to index, and nothing here needs them.
    monkeypatch.setattr(indexing, "fill", lambda found: indexing.ingest(found, [found.bundle_root]))

    def call(*arguments, token=None):
        with monkeypatch.context() as context:
            context.setattr(sys, "argv", ["fuseboard", *arguments])
            if token:
                context.setenv("FUSEBOARD_TOKEN", token)
            try:
                cli.main()
                code = 0
            except SystemExit as end:
                code = end.code or 0
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return code, said.out, said.err

    return call


@pytest.fixture
def drafted(fuseboard):
    assert fuseboard("new", "mine", "--from", "late_fusion")[0] == 0
    return "mine.yaml"


def test_new_overwrites_nothing(fuseboard, drafted):
    Path(drafted).write_text("precious", encoding="utf-8")
    code, _, said = fuseboard("new", "mine", "--from", "mbt")
    assert code == 2 and "there already" in said
    assert Path(drafted).read_text(encoding="utf-8") == "precious"
    code, _, said = fuseboard("new", "other", "--from", "mbtt")
    assert code == 2 and "Did you mean 'mbt'?" in said
    code, _, said = fuseboard("new", "../out", "--from", "mbt")
    assert code == 2 and "wanted 1 to 64" in said


def test_a_typo_gets_its_line_and_the_nearest_name(fuseboard, drafted):
    assert fuseboard("validate", drafted)[0] == 0
    text = Path(drafted).read_text(encoding="utf-8")
    line = text.splitlines().index("  pooling: mean") + 1
    Path(drafted).write_text(text.replace("pooling: mean", "pooling: meen"), encoding="utf-8")
    code, _, said = fuseboard("validate", drafted)
    assert code == 2
    assert f"{drafted}:{line}: settings.pooling: unknown part 'meen'. Did you mean 'mean'? Known: mean, max" in said
    code, out, _ = fuseboard("validate", drafted, "--json")
    (problem,) = json.loads(out)
    assert (code, problem["line"], problem["field"]) == (2, line, "settings.pooling")


def test_a_file_that_is_no_spec_is_refused(fuseboard, tmp_path):
    assert "No such file" in fuseboard("validate", "gone.yaml")[2]
    assert "Is a directory" in fuseboard("validate", str(tmp_path))[2]
    (tmp_path / "long.yaml").write_bytes(b"a: b\n" * 10**6)
    assert "longer than 32 KiB" in fuseboard("submit", "long.yaml", "--protocol", "synthetic@1")[2]


def test_validating_loads_neither_torch_nor_a_database(drafted):
    script = "import sys\nfrom runners.cli import main\nmain()"
    heavy = "sorted({'torch', 'sqlalchemy', 'pandas'} & set(sys.modules))"
    check = f"import atexit, sys; atexit.register(lambda: print({heavy}))\n"
    done = subprocess.run(
        [sys.executable, "-c", check + script, "validate", drafted],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_trying_tells_what_is_wrong_and_what_it_costs(fuseboard, drafted):
    code, out, _ = fuseboard("try", drafted, "--json")
    told = json.loads(out)
    assert code == 0 and all(finding["passed"] for finding in told["findings"])
    checks = ["model", "shapes", "gradients", "missing modality", "padding", "determinism", "training"]
    assert [finding["check"] for finding in told["findings"]] == checks
    assert "parameters" in told["findings"][0]["said"] and "ms a step" in told["cost"]
    text = Path(drafted).read_text(encoding="utf-8").replace("heads: 4", "heads: 7")
    Path(drafted).write_text(text, encoding="utf-8")
    code, _, said = fuseboard("try", drafted)
    assert code == 2 and "heads (7) must divide width (40)" in said


def test_the_person_at_the_machine_submits_and_approves(fuseboard, drafted):
    code, out, _ = fuseboard("submit", drafted, "--protocol", "synthetic@1")
    assert code == 0 and "validated" in out and "moderate approve" in out
    (row,) = json.loads(fuseboard("submissions", "--json")[1])
    code, out, _ = fuseboard("moderate", "approve", row["submission"][:6])
    assert code == 0 and "queued" in out
    code, out, _ = fuseboard("submissions", row["submission"])
    assert code == 0 and "position      1" in out and "local:" in out
    told = json.loads(fuseboard("submissions", row["submission"], "--json")[1])
    assert [entry["event"] for entry in told["history"]] == ["received", "validated", "approved", "queued"]
    assert told["spec"] == Path(drafted).read_text(encoding="utf-8")
    code, _, said = fuseboard("moderate", "refuse", "feed", "--reason", "x")
    assert code == 2 and "no submission 'feed'" in said
    code, out, _ = fuseboard("moderate", "refuse", row["submission"], "--reason", "a try")
    assert code == 0 and "refused" in out


def test_tokens_from_the_first_to_the_last(fuseboard):
    token = json.loads(fuseboard("token", "create", "ana", "--json")[1])
    assert (token["owner"], token["role"]) == ("ana", "submitter")
    listed = fuseboard("token", "list")[1]
    assert token["token"] in listed and token["secret"] not in listed
    fuseboard("new", "hers", "--from", "late_fusion")
    made = fuseboard("submit", "hers.yaml", "--protocol", "synthetic@1", "--json", token=token["secret"])
    submission = json.loads(made[1])["submission"]
    code, _, said = fuseboard("moderate", "approve", submission, token=token["secret"])
    assert code == 2 and "ana is a submitter; to approve, a maintainer is needed" in said
    assert fuseboard("token", "revoke", token["token"])[0] == 0
    code, _, said = fuseboard("submit", "hers.yaml", "--protocol", "synthetic@1", token=token["secret"])
    assert code == 2 and "was revoked" in said
    code, _, said = fuseboard("moderate", "hide", submission, "--reason", "x", token="fsb_00000000_" + "x" * 43)
    assert code == 2 and "not known" in said


def test_a_locked_database_is_told_without_a_traceback(fuseboard, drafted, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "BUSY_SECONDS", 0.2)
    engine = store.connect(f"sqlite:///{tmp_path}/board.db")
    with writing(engine):
        code, _, said = fuseboard("submit", drafted, "--protocol", "synthetic@1")
    engine.dispose()
    assert code == 1 and "database is locked" in said
