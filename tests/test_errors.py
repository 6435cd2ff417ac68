"""The family of errors: what they are caught as, and what they say."""

import pickle

import pytest

from graphforget.errors import (
    Diverged,
    GraphforgetError,
    InputError,
    MissingExtra,
    UnknownName,
    missing_extra,
    unknown,
)


@pytest.mark.parametrize(
    ("ours", "builtin"),
    [(InputError, ValueError), (UnknownName, KeyError), (MissingExtra, ImportError), (Diverged, ArithmeticError)],
)
def test_each_is_ours_and_the_builtin(ours, builtin):
    assert issubclass(ours, GraphforgetError)
    assert issubclass(ours, builtin)


def test_an_unknown_name_is_an_input_error_too():
    with pytest.raises(InputError, match="unknown method"):
        raise unknown("method", "x", ["retrain"])


def test_unknown_suggests_the_nearest_and_lists_in_the_given_order():
    text = str(unknown("scope", "atuo", ("full", "khop", "auto")))
    assert text == "unknown scope (got 'atuo'); did you mean 'auto'? known: full, khop, auto"


def test_unknown_sees_through_capitals():
    assert "did you mean 'd2dgn'?" in str(unknown("method", "D2DGN", ["retrain", "d2dgn"]))
    assert "did you mean 'Cora_ML'?" in str(unknown("data set", "cora_ml", iter(["Cora", "Cora_ML"])))


def test_unknown_suggests_nothing_when_nothing_is_near():
    assert str(unknown("method", "zzz", ["retrain"])) == "unknown method (got 'zzz'); known: retrain"
    assert str(unknown("method", "zzz", [])) == "unknown method (got 'zzz'); known: none"


@pytest.mark.parametrize("name", [3, None, ("a", "b")])
def test_unknown_takes_what_is_not_text(name):
    assert f"(got {name!r})" in str(unknown("method", name, ["retrain"]))


def test_unknown_is_not_quoted_as_a_key_error_is():
    assert str(KeyError("it's")) == '"it\'s"'
    assert str(UnknownName("it's")) == "it's"


def test_missing_extra_names_package_and_command():
    error = missing_extra("dgl", "dgl")
    assert str(error) == "the package 'dgl' is needed for this; install it with: pip install 'graphforget[dgl]'"
    assert error.name == "dgl"


def test_missing_recbole_names_the_second_command():
    text = str(missing_extra("recbole", "recbole"))
    assert text.endswith("pip install 'graphforget[recbole]' && pip install --no-deps recbole")


@pytest.mark.parametrize(
    "error",
    [InputError("a"), unknown("method", "x", ["y"]), missing_extra("dgl", "dgl"), Diverged("the loss is NaN")],
)
def test_errors_survive_another_process(error):
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error)
    assert str(back) == str(error)
