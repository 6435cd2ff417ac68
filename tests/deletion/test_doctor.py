"""The diagnosis, on this environment and on made-up broken ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from rich.console import Console

from graphforget.deletion import doctor
from graphforget.deletion.doctor import Diagnosis, Finding, diagnose, graphbolt, packages, table


@pytest.fixture(scope="module")
def found():
    """Of the environment that the tests run in."""
    return diagnose()


def test_this_environment_is_healthy_and_the_diagnosis_is_json(found):
    assert found.healthy, [each for each in found.findings if each.status == "broken"]
    again = Diagnosis.model_validate(json.loads(found.model_dump_json()))
    assert again == found
    assert {each.group for each in found.findings} >= {"core", "dgl", "report", "environment"}


def test_everything_that_is_wrong_has_a_remedy(found):
    assert [each.name for each in found.findings if each.status != "ok" and not each.remedy] == []


def test_torch_load_is_tried_and_not_looked_up(found):
    finding = next(each for each in found.findings if each.name == "torch weights_only")
    assert finding.version == torch.__version__
    assert finding.status == "note"
    assert "refuses" in finding.detail


def test_recbole_beside_new_numpy_is_named(found):
    pytest.importorskip("recbole", reason="needs recbole")
    finding = next(each for each in found.findings if each.name == "recbole on numpy")
    assert finding.status == ("ok" if hasattr(np, "float_") else "note")
    if finding.status == "note":
        assert np.__version__ in finding.detail
        assert "compatible" in finding.remedy


def test_a_dgl_whose_graphbolt_is_built_for_another_torch_is_broken(tmp_path):
    assert graphbolt(tmp_path, "2.13.0+cpu") is None  # 1.x has none
    (tmp_path / "graphbolt").mkdir()
    (tmp_path / "graphbolt" / "libgraphbolt_pytorch_2.4.0.so").touch()
    finding = graphbolt(tmp_path, "2.13.0+cpu")
    assert finding is not None
    assert finding.status == "broken"
    assert "libgraphbolt_pytorch_2.13.0.so" in finding.detail
    assert "2.4.0" in finding.detail
    assert "dgl==1.1.3" in finding.remedy
    assert graphbolt(tmp_path, "2.4.0") is None


def test_a_package_whose_import_fails_is_broken(tmp_path, monkeypatch):
    (tmp_path / "half_built.py").write_text("raise OSError('libhalf.so: no such file')", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    finding = doctor.tried("half_built", "build it whole")
    assert (finding.status, finding.remedy) == ("broken", "build it whole")
    assert "libhalf.so" in finding.detail


@pytest.mark.parametrize(
    ("line", "status", "group"),
    [
        ("numpy>=1.26", "ok", "core"),
        ("numpy (>=1.26)", "ok", "core"),
        ("numpy>=900", "broken", "core"),
        ("numpy==1.0; extra == 'old'", "broken", "old"),
        ("no-such-thing>=1", "broken", "core"),
        ('no-such-thing>=1; extra == "x"', "missing", "x"),
        ("flwr[simulation]>=0; extra == 'federated'", "ok", "federated"),
    ],
)
def test_requirements_are_read_as_the_metadata_writes_them(line, status, group):
    if line.startswith("flwr"):
        pytest.importorskip("flwr", reason="needs flwr")
    (finding,) = packages([line])
    assert (finding.status, finding.group) == (status, group)
    assert finding.status == "ok" or "pip install" in finding.remedy


def test_our_own_extras_and_the_tools_of_developers_are_no_findings():
    assert list(packages(["graphforget[dgl]; extra == 'all'", "ruff>=0.12; extra == 'dev'"])) == []


def test_dgl_neither_speaks_on_standard_output_nor_writes_to_the_home_of_a_first_user(tmp_path):
    pytest.importorskip("dgl", reason="needs DGL")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DGL")}
    command = [sys.executable, "-m", "graphforget", "doctor", "--json"]
    said = subprocess.run(command, env=kept | {"HOME": str(tmp_path)}, capture_output=True, text=True, check=True)
    assert "import dgl" in {each["name"] for each in json.loads(said.stdout)["findings"]}
    assert not (tmp_path / ".dgl").exists()


def test_a_data_folder_that_is_not_there_is_broken(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHFORGET_DATA", str(tmp_path / "gone"))
    assert doctor.data_folder().status == "broken"
    monkeypatch.setenv("GRAPHFORGET_DATA", str(tmp_path))
    assert doctor.data_folder().status == "ok"
    monkeypatch.delenv("GRAPHFORGET_DATA")
    assert doctor.data_folder().status == "note"


def test_the_table_puts_what_is_broken_first():
    findings = (
        Finding(name="fine", group="core", status="ok"),
        Finding(name="[red]odd", group="core", status="broken", remedy="mend"),
    )
    console = Console(width=120, record=True)
    console.print(table(Diagnosis(python="3.11", findings=findings)))
    text = console.export_text()
    assert text.index("[red]odd") < text.index("fine")
