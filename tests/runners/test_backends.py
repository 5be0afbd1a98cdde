"""Backends give equal records; Ray for real, once."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from protocols.record import read_jsonl
from protocols.spec import load as load_protocol
from runners import backends, bundle, trial
from runners.backends import _other_than_planned, _run, device, execute
from runners.settings import SettingsError
from zoo.spec import load as load_method


def everything(outcomes):
    return sorted(str({**vars(r), "created": ""}) for o in outcomes for r in read_jsonl(o.place / "records.jsonl"))


@pytest.mark.ray
@pytest.mark.timeout(600)
def test_serial_and_ray_give_equal_records(short, settings):
    methods = [load_method(name) for name in ("audio_only", "early_fusion")]
    experiments, _ = trial.plan(methods, load_protocol(str(short)), settings, seeds=2)
    other = replace(settings, bundle_root=settings.bundle_root.with_name("ray"))
    reached = {}
    serial = list(
        execute(experiments, settings, "serial", lambda e, epoch: reached.setdefault(e.run, []).append(epoch))
    )
    ray = list(execute(experiments, other, "ray", lambda e, epoch: None))
    assert [o.error for o in serial + ray] == [None] * 8
    assert everything(serial) == everything(ray)
    assert all(epochs == [1, 2, 3, 4] for epochs in reached.values()) and len(reached) == 4
    from mlflow import MlflowClient

    client = MlflowClient(settings.tracking_url)
    tracked = client.search_runs([client.get_experiment_by_name("fuseboard").experiment_id])
    assert len(tracked) == 4 and {run.info.status for run in tracked} == {"FINISHED"}


def test_what_is_there_is_not_done_again(short, settings):
    experiments, _ = trial.plan([load_method("audio_only")], load_protocol(str(short)), settings, seeds=1)
    (first,) = execute(experiments, settings, "serial", lambda e, epoch: None)
    written = (first.place / "manifest.json").stat().st_mtime_ns
    (again,) = execute(experiments, settings, "serial", lambda e, epoch: pytest.fail("trained again"))
    assert again == first and (again.place / "manifest.json").stat().st_mtime_ns == written


def test_a_run_that_another_process_is_about_to_leave_is_waited_for(short, settings, monkeypatch, caplog):
    (planned,), _ = trial.plan([load_method("audio_only")], load_protocol(str(short)), settings, seeds=1)
    with bundle.locked(settings.bundle_root, planned.run):
        monkeypatch.setattr(backends, "LEAVING", -1.0)
        (busy,) = execute([planned], settings, "serial", lambda e, epoch: None)
    assert busy.place is None and "another process is at work on run" in busy.error
    monkeypatch.setattr(backends, "LEAVING", 300.0)
    other = bundle.locked(settings.bundle_root, planned.run)
    other.__enter__()
    monkeypatch.setattr(backends.time, "sleep", lambda seconds: other.__exit__(None, None, None))
    (done,) = execute([planned], settings, "serial", lambda e, epoch: None)
    assert done.error is None and (done.place / "manifest.json").is_file()
    assert "Looking again for 300 s" in caplog.text


def test_an_unknown_backend_is_refused(settings):
    with pytest.raises(ValueError, match="no backend 'dask'; known: serial, ray"):
        list(execute([], settings, "dask", lambda e, epoch: None))


def test_a_share_of_a_gpu_decides_where_runs_are_trained(short, settings):
    assert (device("ray", 0.25), device("ray", 0.0)) == ("cuda", "cpu")
    with pytest.raises(SettingsError, match="--gpus is the share of each Ray task; it needs --backend ray"):
        device("serial", 0.25)
    protocol, method = load_protocol(str(short)), load_method("audio_only")
    (on_gpu,), _ = trial.plan([method], protocol, settings, seeds=1, device="cuda")
    (on_cpu,), _ = trial.plan([method], protocol, settings, seeds=1, device="cpu")
    assert on_gpu.run != on_cpu.run


def test_a_node_with_other_data_or_code_refuses_the_run(short, settings):
    (planned,), _ = trial.plan([load_method("audio_only")], load_protocol(str(short)), settings, seeds=1)
    assert _other_than_planned(planned, settings) is None
    assert "has other code than" in _run(replace(planned, code="0" * 16), settings)[1]
    assert "has other data of synthetic" in _run(replace(planned, fingerprint="0" * 64), settings)[1]
    assert not settings.bundle_root.exists()


@pytest.mark.parametrize("threads", ("1", "2"))
def test_features_do_not_depend_on_the_threads_that_a_machine_offers(threads):
    """A worker of Ray has one thread, a command has all cores: both must hear the same spectrogram."""
    script = (
        "import runners, hashlib, numpy as np; from protocols.datasets.logmel import logmel\n"
        "rng = np.random.default_rng(0)\n"
        "heard = b''.join(logmel(1e4 * rng.standard_normal(n)).tobytes() for n in range(4000, 12000, 80))\n"
        "print(hashlib.sha256(heard).hexdigest())"
    )
    variables = {name: threads for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}

    def heard(**given):
        return subprocess.run(
            [sys.executable, "-c", script], env=os.environ | given, capture_output=True, text=True, check=True
        ).stdout

    assert heard(**variables) == heard()
