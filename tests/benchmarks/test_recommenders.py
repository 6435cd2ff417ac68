"""The recommender half of the benchmarks, on a small set in MMRec's layout: rows, resuming, schedules, requests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from benchmarks import domains, markdown, report, runner
from benchmarks.arguments import parse
from benchmarks.bench import Bench
from benchmarks.cell import Cell, plan
from benchmarks.columns import columns_of
from benchmarks.graphs import GRAPHS
from benchmarks.recommenders import RECOMMENDERS
from graphforget import catalog
from graphforget.errors import InputError, NotApplicable
from graphforget.graph import Graph
from graphforget.report import Report
from graphforget.splits import Splits
from graphforget.unlearner import Unlearned, Unlearner
from recsys.cards import DATASETS, Card
from recsys.writers import write_mmrec

USERS, ITEMS = 40, 60
FAST = ["--model", "bpr", "--seeds", "0", "--golds", "2", "--epochs", "3", "--batch-size", "256"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two groups of users with two kinds of films, with two modalities, as files on disk."""
    root = tmp_path_factory.mktemp("data")
    rng = torch.Generator().manual_seed(0)
    liked = torch.arange(USERS)[:, None] % 2 == torch.arange(ITEMS)[None] % 2
    pairs = (torch.rand(USERS, ITEMS, generator=rng) < torch.where(liked, 0.7, 0.1)).nonzero().T
    part = torch.arange(pairs.shape[1]) % 5
    features = {name: torch.randn(ITEMS, 4, generator=rng) for name in ("image", "text")}
    time = torch.arange(pairs.shape[1], dtype=torch.float64)
    whole = Graph(pairs, (USERS, ITEMS), bipartite=True, features=features, edge_attrs={"time": time})
    splits = Splits(*(whole.with_edges(rows) for rows in (part < 3, part == 3, part == 4)))
    write_mmrec(splits, root / "tiny", "tiny")
    sizes = tuple(view.num_edges for view in splits)
    files = ("tiny.inter", "image_feat.npy", "text_feat.npy")
    facts = (USERS, ITEMS, pairs.shape[1], "tiny", "mmrec", files, sizes, {"image": 4, "text": 4})
    return root, Card("Tiny", "drawn", "none", *facts)


@pytest.fixture
def tiny(data, tmp_path, monkeypatch):
    """Flags that find the small set, with a cache and an output of their own."""
    root, card = data
    monkeypatch.setitem(DATASETS, "tiny", card)
    monkeypatch.chdir(tmp_path)
    return ["--data-root", str(root), "--cache", "cache", "--out", "out.jsonl"]


def rows() -> Report:
    return Report.read("out.jsonl")


def test_every_usual_method_leaves_rows_beside_gold_and_floor(tiny):
    assert runner.main("tiny", [*FAST, *tiny, "--count", "3"]) == 0
    found = rows()
    assert {row["method"] for row in found.rows} == {"", *RECOMMENDERS.methods}
    metrics = {row["metric"] for row in found.select(role="unlearned", method="row_reset")}
    assert {"recall@20", "ndcg@20", "js_to_gold", "overlap@20", "pair_auc", "mia_auc_same_users", "seconds"} <= metrics
    for part, metric in columns_of("recommend"):
        assert found.select(role="unlearned", part=part, metric=metric, method="mmrecun")
    assert {row["settings"] for row in found.select(method="finetune")} == {"epochs=10 lr=0.001"}
    assert all(row["epochs"] == 3 and row["kind"] == "user" for row in found.rows)
    assert found.select(method="receraser", metric="prepare_seconds")


def test_a_finished_cell_is_not_run_again_and_another_schedule_is_another_cell(tiny, monkeypatch):
    words = ["--methods", "row_reset", "--count", "2", *FAST, *tiny]
    runner.main("tiny", words)
    text, models = Path("out.jsonl").read_text(), set(Path("cache").glob("*.safetensors"))
    assert len(models) == 3
    runner.main("tiny", words)
    assert Path("out.jsonl").read_text() == text
    runner.main("tiny", [*words, "--epochs", "2"])
    assert {row["epochs"] for row in rows().rows} == {2, 3}
    assert len(set(Path("cache").glob("*.safetensors")) - models) == 3
    ran = []
    monkeypatch.setattr(
        runner, "blocks", lambda bench, methods, *_: ran.append((bench.cell.epochs, list(methods))) or []
    )
    words.remove("--epochs")
    words.remove("3")
    runner.main("tiny", words)
    assert ran == [(None, ["row_reset"])]


@pytest.mark.parametrize(
    ("words", "kinds"),
    [
        (["--kind", "interaction"], {"interaction"}),
        (["--kind", "user_item"], {"user", "item"}),
        (["--kind", "user_interaction"], {"user", "interaction"}),
        (["--kind", "modality", "--modality", "text", "--model", "vbpr"], {"modality:text"}),
        (["--kind", "preference"], {"interaction"}),
        (["--kind", "item", "--pool", "head"], {"item"}),
    ],
)
def test_each_kind_of_request_is_drawn_on_the_train_part(tiny, words, kinds):
    flags, _ = parse("tiny", [*FAST, *tiny, "--methods", "finetune", *words])
    bench = Bench(next(plan("tiny", flags)), flags.data_root, flags.cache)
    assert set(bench._drawn.request.parts) == kinds
    assert bench.whole.forget.num_edges > 0


def test_a_sequence_of_users_is_served_and_each_step_stands_beside_its_own_golds(tiny):
    words = [*FAST, *tiny, "--count", "4", "--batches", "2", "--relearn", "--methods", "row_reset", "receraser"]
    assert runner.main("tiny", words) == 0
    for metric in ("step_js_to_gold", "step_recall@20"):
        for method in ("row_reset", "receraser"):
            found = rows().select(metric=metric, method=method, part="forget")
            assert sorted(row["step"] for row in found) == [1, 2]
    assert rows().select(metric="relearn_epochs", method="row_reset")
    assert "step 2" in markdown.table(rows(), planned=1)


def test_a_modality_is_forgotten_and_named_in_the_rows(tiny):
    words = [*FAST, *tiny, "--model", "vbpr", "--kind", "modality", "--modality", "text", "--methods", "finetune"]
    assert runner.main("tiny", words) == 0
    assert {row["modality"] for row in rows().rows} == {"text"}
    assert rows().value("original", "forget", "js_to_gold") > 0
    assert rows().value("original", "all", "noise_shift") > 0
    assert rows().value("gold", "all", "noise_shift") == rows().value("unlearned", "all", "noise_shift") == 0
    assert "score change by noise" in markdown.table(rows(), planned=1)


def test_the_pushed_item_is_counted_among_what_users_are_shown(tiny):
    flags, _ = parse("tiny", [*FAST, *tiny, "--pool", "poison", "--count", "6"])
    bench = Bench(next(plan("tiny", flags)), flags.data_root, flags.cache)
    target = bench._drawn.target
    retain = bench.whole.retain
    model = bench.blank(0)
    assert model.user_embedding.shape[0] == USERS + 6
    assert (bench.whole.forget.edge_index[1] == target).sum() == 6  # every planted user pushes it
    for height, shown in ((1.0, True), (-1.0, False)):
        with torch.no_grad():
            model.user_embedding.fill_(1.0)
            model.item_embedding.fill_(0.0)[target] = height
        hit = bench.more(Unlearned(model, retain, {}))["test", "target_hit@20"]
        asked = bench.splits.test.edge_index[0].unique()
        fans = retain.edge_index[0, retain.edge_index[1] == target]  # what a user keeps is not shown again
        below = bench.more(Unlearned(model, retain, {}))["test", "target_percentile"]
        assert below == pytest.approx((ITEMS - 1) / ITEMS if shown else 0)
        assert hit == pytest.approx(1 - float(torch.isin(asked, fans).float().mean()) if shown else 0)


def test_planted_users_are_benchmarked_with_what_they_were_planted_for(tiny, capsys):
    words = [*FAST, *tiny, "--pool", "poison", "--count", "6", "--methods", "row_reset"]
    assert runner.main("tiny", words) == 0
    roles = {row["role"] for row in rows().select(metric="target_hit@20")}
    assert roles == {"original", "gold", "unlearned"}
    text = markdown.table(rows(), planned=1)
    assert "users shown the target | items below the target" in text
    assert "share of gold's recovery of test target_percentile" in text
    assert runner.main("tiny", [*words, "--kind", "item"]) == 2
    assert "--kind user" in capsys.readouterr().err


@dataclass(frozen=True)
class Picky(Unlearner):
    """Serves no request at all."""

    reads: ClassVar[frozenset[str]] = frozenset({"retain"})

    def _unlearn(self, job) -> Unlearned:
        raise NotApplicable("a picky method serves nothing; use another")


def test_a_method_that_cannot_serve_a_request_is_left_out_with_its_reason(tiny, monkeypatch, capsys):
    monkeypatch.setitem(catalog.METHODS, "picky", f"{__name__}:Picky")
    words = [*FAST, *tiny, "--count", "2", "--methods", "picky", "row_reset"]
    assert runner.main("tiny", words) == 0
    shown = capsys.readouterr()
    assert "picky left out: a picky method serves nothing" in shown.err
    assert "picky left out" in shown.out
    assert rows().select(method="row_reset", metric="js_to_gold")
    assert "*picky left out: a picky method serves nothing; use another*" in markdown.table(rows(), planned=1)
    runner.main("tiny", words)
    assert "picky left out" not in capsys.readouterr().err
    assert report.main(["out.jsonl", "--html", "out.html"]) == 0
    assert "picky left out" in Path("out.html").read_text()


def test_the_page_and_the_table_show_distances_in_floors(tiny):
    runner.main("tiny", [*FAST, *tiny, "--count", "3", "--methods", "row_reset", "mmrecun"])
    text = markdown.table(rows(), planned=1)
    line = next(line for line in text.splitlines() if line.startswith("| row_reset |"))
    assert line.count("x)") == 2  # JS and overlap
    assert report.main(["out.jsonl", "--html", "out.html"]) == 0
    page = Path("out.html").read_text()
    assert "tiny bpr recommend: 3 user random" in page
    assert "test recall@20" in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--methods", "gnndelete"], "gnndelete needs a task that is GraphTask"),
        (["--methods", "mmrecn"], "mmrecun"),
        (["--model", "gcn"], "lightgcn"),
        (["--kind", "edge"], "interaction"),
        (["--pool", "hubs"], "known: random"),
        (["--task", "link"], "recommend"),
        (["--modality", "image"], "--kind modality"),
        (["--max-users", "0"], "at least 1"),
        (["--patience", "0"], "patience must be at least 1"),
    ],
)
def test_flags_of_the_other_domain_and_bad_values_are_answered_with_the_remedy(words, message):
    with pytest.raises(InputError, match=message):
        parse("ml_posters", words)


def test_recommenders_have_defaults_of_their_own():
    flags, methods = parse("ml_posters", [])
    assert (flags.task, flags.kind, flags.model, flags.ratio) == ("recommend", "user", ["lightgcn"], [5.0])
    assert (methods["finetune"].lr, methods["finetune"].epochs, methods["d2dgn"].epochs) == (1e-3, 10, 10)
    assert parse("ml_posters", ["--finetune.lr", "0.5"])[1]["finetune"].epochs == 10
    assert parse("ml100k", ["--kind", "preference"])[0].count == [1]
    with pytest.raises(InputError, match="unknown flag"):
        parse("cora", ["--max-users", "5"])


def test_a_bounded_evaluation_is_another_model_and_reaches_the_task(tiny):
    flags, _ = parse("tiny", [*FAST, *tiny, "--max-users", "7"])
    bench = Bench(next(plan("tiny", flags)), flags.data_root, flags.cache)
    free = Bench(Cell(**{**vars(bench.cell), "max_users": None}), flags.data_root, flags.cache)
    assert bench.task.max_users == 7
    assert bench.path("original", 0) != free.path("original", 0)
    assert bench.cell.keys["max_users"] == 7
    assert "max_users" not in free.cell.keys


@pytest.mark.parametrize(
    ("cell", "role", "seed", "name"),
    [
        (Cell("cora", "gcn", "link", "edge", 2.5, None, "in", 0), "original", 0, "f980a15aec18310bc807dfb8"),
        (Cell("citeseer", "gcn", "link", "edge", 5.0, None, "out", 1), "original", 1000, "10b0808e01e499c79801986f"),
        (
            Cell("citeseer", "gcn", "link", "edge", 2.5, None, "in_legacy", 0),
            "gold48317ce8d7d5fd05e2e78f98e220262c9158091cfa84a1550581fb92e26354f9",
            100,
            "832bb81697ef7d2bc847be57",
        ),
    ],
)
def test_trained_graph_models_keep_the_names_they_are_cached_under(cell, role, seed, name):
    path = Bench(cell, None, Path("cache")).path(role, seed)
    assert path.name == f"{cell.dataset}-gcn-{role[:8]}-{cell.seed}-{name}.safetensors"


def test_rows_of_graph_cells_have_no_new_column():
    cell = Cell("cora", "gcn", "link", "edge", 2.5, None, "in", 0)
    assert list(cell.keys) == ["dataset", "model", "task", "kind", "ratio", "count", "pool", "seed"]
    assert domains.of("cora") is GRAPHS
    assert domains.of("gowalla") is RECOMMENDERS
