import pytest
import yaml

from protocols.spec import SpecError, committed, load, read

OURS = ("grid-digit-noisy@1", "grid-digit@1", "grid-letter@1", "mosi-utterance@1", "ravdess-actors@1", "synthetic@1")
REPLICAS = tuple(f"mosi-{paper}-replica@2" for paper in ("mmmuba", "bclstm", "hfusion", "catflstm"))


def written(tmp_path, **changes):
    """A copy of synthetic@1 with some fields changed; None removes one."""
    raw = load("synthetic@1").model_dump(mode="json") | changes
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in raw.items() if value is not None}))
    return path


def test_the_committed_protocols():
    assert {*OURS, *REPLICAS} <= set(committed())
    assert {key for key, spec in committed().items() if spec.replica_of} == set(REPLICAS)


@pytest.mark.parametrize("key", [key for key, spec in committed().items() if not spec.replica_of])
def test_what_a_protocol_asks_for_exists(key):
    from protocols.datasets import dataset
    from protocols.split import SPLITS

    spec = load(key)
    name, _, own = spec.dataset.partition("/")
    found = dataset(name)
    assert spec.target in found.CARD.targets
    assert all(name in found.CARD.inputs[modality] for modality, name in spec.inputs.items())
    assert (SPLITS / f"{spec.split}.csv").is_file() or (key not in OURS and (own or hasattr(found, "split")))
    assert not found.CARD.splits or spec.split.rpartition("/")[2] in found.CARD.splits
    assert len(spec.runs()) == (spec.folds or spec.seeds)


def test_seeds_and_folds():
    assert load("grid-digit@1").runs(2) == [(0, None), (1, None)]
    assert load("ravdess-actors@1").runs(2) == [(0, fold) for fold in range(1, 7)]


@pytest.mark.parametrize(
    ("changes", "said"),
    (
        ({"select_on": "test"}, "selection never sees the test split"),
        ({"vresion": 2}, "unknown key 'vresion'. Did you mean 'version'"),
        ({"metrics": ["acuracy"]}, "no metric 'acuracy'"),
        ({"metrics": ["mae"]}, "no metric 'mae' of classification"),
        ({"metrics": ["accuracy/yes"]}, "no metric 'accuracy/yes'"),
        ({"task": "ranking"}, "known tasks: classification, regression, multilabel"),
        ({"loss": "l1"}, "loss: 'l1' is none of classification; known: cross_entropy"),
        ({"task": "multilabel", "loss": "l1"}, "'l1' is none of multilabel; known: binary_cross_entropy"),
        ({"conditions": ["audio/white_noise/loud"]}, "not understood"),
        ({"conditions": ["smell/missing"]}, "not understood"),
        ({"training_conditions": ["audio/missing"]}, "training condition is clean or a corruption"),
        ({"inputs": {"audio": "features"}}, "needs video"),
        ({"dataset": "gird"}, "known data sets"),
        ({"budget": {"epochs": 1}}, "budget.learning_rate"),
        ({"seeds": 0}, "greater than or equal to 1"),
        ({"version": None}, "version: Field required"),
    ),
)
def test_a_wrong_spec_is_refused_with_file_and_field(tmp_path, changes, said):
    path = written(tmp_path, **changes)
    with pytest.raises(SpecError, match=said) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(SpecError, match="Did you mean 'synthetic@1'"):
        load("synthetik@1")
    with pytest.raises(SpecError, match="no such file"):
        load("nowhere.yaml")


def test_ones_own_file_is_a_protocol(tmp_path):
    assert read(written(tmp_path, name="mine", version=3)).key == "mine@3"


def test_a_task_and_its_loss_are_said_only_where_they_are_not_the_usual_ones(tmp_path):
    usual = load("synthetic@1")
    assert (usual.task, usual.descends) == ("classification", "cross_entropy")
    assert not {"task", "loss", "replica_of"} & usual.model_dump().keys()
    other = read(written(tmp_path, task="regression", metrics=["ccc", "ccc/valence"]))
    assert (other.descends, other.model_dump()["task"], "loss" in other.model_dump()) == ("l1", "regression", False)
    assert read(written(tmp_path, task="regression", loss="ccc", metrics=["ccc"])).model_dump()["loss"] == "ccc"
