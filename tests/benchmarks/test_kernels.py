"""Kernels beside their peers: rows, resuming, the picture, and what is refused."""

from __future__ import annotations

import importlib.util
import json

import pytest

from benchmarks import kernels
from benchmarks.output import kept
from benchmarks.pairing import Pair, measure

KEYS = ["kernel", "peer", "size", "threads", "ours_s", "peer_s", "ratio"]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    path = tmp_path_factory.mktemp("kernels") / "kernels.jsonl"
    names = ["k_hop", "structured", "membership", "deletion", "norm_patch"]
    asked = ["--kernels", *names, "--edges", "4000", "--threads", "1", "--repeats", "1", "--json", "--out", str(path)]
    assert kernels.main(asked) == 0
    first = path.read_text(encoding="utf-8")
    assert kernels.main([*asked, "--plot", str(path.with_suffix(".png"))]) == 0
    assert path.read_text(encoding="utf-8") == first  # nothing was measured again
    return path


def test_rows_have_the_keys_and_results_were_compared(out):
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert all(list(row) == KEYS for row in rows)
    pairs = [(row["kernel"], row["peer"]) for row in rows]
    assert pairs[:2] == [("k_hop_1", "pyg"), ("k_hop_1", "scipy")]
    assert {name for name, _ in pairs} >= {"structured", "membership", "deletion", "norm_patch"}
    assert {name for name, peer in pairs if peer == "scipy"} == {"k_hop_1", "k_hop_100", "k_hop_1000"}
    if importlib.util.find_spec("dgl"):
        assert {name for name, peer in pairs if peer == "dgl"} == {"k_hop_1", "k_hop_100", "k_hop_1000"}
    assert all(row["ratio"] == pytest.approx(row["peer_s"] / row["ours_s"]) for row in rows)


def test_the_picture_is_drawn(out):
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_markdown_has_a_line_a_pair_and_columns_a_number_of_threads(out):
    rows = kept(out)
    lines = kernels.markdown([*rows, {**rows[0], "threads": 2}]).splitlines()
    assert "ours, 1 thread | peer | ratio | ours, 2 threads | peer | ratio |" in lines[0]
    assert len(lines) == 2 + len(rows)
    assert lines[3].endswith("| | | |")


def test_the_largest_input_is_each_kernels_own():
    rows = [{"kernel": name, "peer": "p", "size": size} for name, size in (("a", 1), ("a", 9), ("b", 3), ("b", 2))]
    assert kernels.largest(rows) == rows[1:3]


def test_a_difference_stops_the_measurement():
    def differ(mine, theirs):
        raise RuntimeError(f"{mine} is not {theirs}")

    with pytest.raises(RuntimeError, match="2 is not 4"):
        measure(Pair("double", "square", 1, lambda n: 2, lambda n: 4, differ), 1, 1)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--kernels", "k_hops"], "did you mean 'k_hop'"),
        (["--edges", "5"], "--edges must be at least 100 (got 5)"),
        (["--threads", "0"], "--threads must be at least 1 (got 0)"),
        (["--repeats", "0"], "--repeats must be at least 1"),
    ],
)
def test_what_cannot_be_measured_is_named(flags, message, capsys):
    assert kernels.main(flags) == 2
    assert message in " ".join(capsys.readouterr().err.split())
