"""Trackers, each against the real package and without a network."""

from __future__ import annotations

import json
import sys

import pytest

from graphforget.deletion.loggers import LOGGERS, MLflow, TensorBoard, WandB, figures_of, logger, send, tags_of
from graphforget.errors import MissingExtra, UnknownName
from tests.deletion.dossiers import verification


@pytest.fixture
def files(tmp_path):
    """A report to keep beside the figures."""
    path = tmp_path / "given" / "report.html"
    path.parent.mkdir()
    path.write_text("<p>a report</p>", encoding="utf-8")
    return [path]


def test_figures_have_plain_names_and_no_gaps():
    found = figures_of(verification())
    assert found["deletion/outcome"] == 1
    assert found["deletion/distance"] == pytest.approx(1.1)
    assert found["unlearned/test/recall_at_20"] == 0.25
    assert found["cost/seconds"] == 2.5
    assert not [name for name in found if "peak_mib" in name or "tpr" in name]
    assert figures_of(verification(9.0))["deletion/outcome"] == -1
    assert figures_of(verification(golds=0))["deletion/outcome"] == 0


def test_tensorboard_keeps_the_figures_by_version(tmp_path, files):
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason="needs tensorboard")
    target = TensorBoard(str(tmp_path / "runs"))
    send(target, verification(1.1), step=1, files=files)
    send(target, verification(9.0), step=2)
    events = reader.EventAccumulator(str(tmp_path / "runs"))
    events.Reload()
    points = [(point.step, point.value) for point in events.Scalars("deletion/distance")]
    assert [step for step, _ in points] == [1, 2]
    assert points[1][1] == pytest.approx(9.0)
    assert "deletion/text_summary" in events.Tags()["tensors"]


def test_mlflow_keeps_figures_tags_and_files(tmp_path, files, monkeypatch):
    pytest.importorskip("mlflow", reason="needs the extra track")
    pytest.importorskip("sqlalchemy", reason="a local MLflow store needs sqlalchemy")
    from mlflow.tracking import MlflowClient

    monkeypatch.chdir(tmp_path)  # where a local store keeps its files
    target = f"sqlite:///{tmp_path}/mlflow.db"
    send(MLflow(target), verification(), step=3, files=files)
    send(MLflow(target), verification(), step=4)
    client = MlflowClient(tracking_uri=target)
    runs = client.search_runs([client.get_experiment_by_name("deletions").experiment_id])
    assert {run.info.run_name for run in runs} == {"version 3", "version 4"}
    run = next(each for each in runs if each.info.run_name == "version 3")
    assert run.info.status == "FINISHED"
    assert run.data.metrics["deletion/distance"] == pytest.approx(1.1)
    assert run.data.tags["outcome"] == "pass"
    assert [each.path for each in client.list_artifacts(run.info.run_id)] == ["report.html"]


def test_wandb_keeps_a_run_offline(tmp_path, files):
    wandb = pytest.importorskip("wandb", reason="needs the extra track")
    send(WandB(f"offline:{tmp_path / 'w'}"), verification(), step=3, files=files)
    wandb.teardown()  # its service writes the last bytes when it ends
    (run,) = (tmp_path / "w" / "wandb").glob("offline-run-*/*.wandb")
    assert b"deletion/distance" in run.read_bytes()
    assert (run.parent / "files" / "report.html").is_file()


def test_a_tracker_that_is_not_installed_names_its_extra(monkeypatch):
    for module, name in (("mlflow.entities", "mlflow"), ("wandb", "wandb"), ("torch.utils.tensorboard", "tensorboard")):
        monkeypatch.setitem(sys.modules, module, None)  # what an import that fails leaves
        with pytest.raises(MissingExtra, match=r"graphforget\[track\]"):
            LOGGERS[name]("x").log({}, {}, [], 0)


def test_loggers_are_named_on_one_line():
    assert logger("mlflow:sqlite:///mlflow.db") == MLflow("sqlite:///mlflow.db")
    assert logger("wandb:offline:runs") == WandB("offline:runs")
    with pytest.raises(UnknownName, match="did you mean 'tensorboard'"):
        logger("tensorbord")
    with pytest.raises(UnknownName, match="NAME:TARGET"):
        logger("mlflow")


def test_anything_with_log_is_a_logger():
    class Kept:
        def log(self, figures, tags, files, step):
            self.seen = (dict(figures), dict(tags), files, step)

    kept = Kept()
    send(kept, verification(), step=7)
    figures, tags, files, step = kept.seen
    assert (files, step, tags) == ([], 7, tags_of(verification()))
    assert json.dumps(figures, allow_nan=False)
