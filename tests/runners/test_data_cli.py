"""``fuseboard data show``: a card as a person reads it."""

import json

import pytest
import typer

from runners.data_cli import data_show


def test_a_card_names_owner_place_splits_and_leaks(capsys):
    data_show("crema_d")
    told = " ".join(capsys.readouterr().out.split())
    assert "owner Houwei Cao" in told and "crema_d/ below the data root: AudioWAV/<id>.wav" in told
    assert "shared-actor: leaks: shared-actor. The lists of OGM-GE" in told and "6698 train, 744 test." in told
    data_show("grid", json=True)
    assert json.loads(capsys.readouterr().out)["splits"] == ["see the protocols"]


def test_an_unknown_name_is_answered_with_the_nearest(capsys):
    with pytest.raises(typer.Exit):
        data_show("crema-d")
    assert "Did you mean 'crema_d'?" in capsys.readouterr().err
