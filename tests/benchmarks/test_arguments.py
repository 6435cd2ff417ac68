"""The flags: several values after one flag, a method's fields, and errors that help."""

from __future__ import annotations

import pytest

from benchmarks.arguments import parse
from graphforget.errors import InputError


def test_several_values_follow_one_flag():
    flags, methods = parse("cora", ["--methods", "utu", "d2dgn", "--seeds", "1", "2", "--ratio", "0.5", "5"])
    assert list(methods) == ["utu", "d2dgn"]
    assert flags.seeds == [1, 2]
    assert flags.ratio == [0.5, 5.0]
    assert flags.kind == "edge"


def test_a_methods_fields_are_flags_of_their_own_type():
    words = ["--methods", "d2dgn", "d2dgn_calibrated", "--d2dgn.alpha", "0.3", "--d2dgn.epochs=7"]
    _, methods = parse("cora", [*words, "--d2dgn_calibrated.per_element", "false"])
    assert (methods["d2dgn"].alpha, methods["d2dgn"].epochs) == (0.3, 7)
    assert methods["d2dgn_calibrated"].per_element is False


def test_another_name_of_a_method_is_its_key():
    flags, methods = parse("restor", ["--methods", "grad_ascent", "--also", "grad_ascent.lr=0.5"])
    assert flags.methods + flags.also == list(methods) == ["gradient_ascent", "gradient_ascent.lr=0.5"]
    assert [type(each).__name__ for each in methods.values()] == ["GradientAscent"] * 2
    flags, methods = parse("restor", ["--methods", "grad_ascent", "--grad_ascent.lr", "0.25"])
    assert methods["gradient_ascent"].lr == 0.25


def test_a_method_may_run_again_with_other_settings_as_a_row_of_its_own():
    _, methods = parse("mnist", ["--methods", "del", "--also", "del.criterion=random,epochs=3", "--del.epochs", "7"])
    assert list(methods) == ["del", "del.criterion=random,epochs=3"]
    first, second = methods.values()
    assert (first.criterion, first.epochs, second.criterion, second.epochs) == ("weighted_grad", 7, "random", 3)


def test_node_classification_forgets_nodes_unless_told_otherwise():
    assert parse("cora", ["--task", "node"])[0].kind == "node"
    assert parse("cora", ["--task", "node", "--kind", "feature"])[0].kind == "feature"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--methods", "d2dgnn"], "d2dgn"),
        (["--model", "gnc"], "gcn"),
        (["--pool", "out_legaci"], "out_legacy"),
        (["--kind", "edges"], "edge"),
        (["--methods", "d2dgn", "--d2dgn.alfa", "1"], "alpha"),
        (["--methods", "d2dgn", "--d2dgn.epochs", "many"], "many"),
        (["--methods", "d2dgn.alfa=1"], "alpha"),
        (["--methods", "d2dgn."], "field"),
        (["--methods", "utu", "--d2dgn.alpha", "1"], "not run"),
        (["--ratioo", "5"], "--ratio"),
        (["--golds", "1"], "noise floor"),
    ],
)
def test_unknown_names_and_values_are_answered_with_the_remedy(words, message):
    with pytest.raises(InputError, match=message):
        parse("cora", words)


def test_ratio_and_count_exclude_each_other(capsys):
    with pytest.raises(SystemExit):
        parse("cora", ["--ratio", "5", "--count", "3"])
    assert "not allowed with" in capsys.readouterr().err
