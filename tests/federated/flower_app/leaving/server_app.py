"""The server: one line differs from a project on Flower's own FedAvg."""

import json
import os
from pathlib import Path

import torch
from flwr.app import ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp

from graphforget.federated.conda import ConDa
from graphforget.federated.flower_interop import RecordingFedAvg
from leaving import MARK, blank, rows

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    strategy = RecordingFedAvg(fraction_evaluate=0.0)  # was: FedAvg(fraction_evaluate=0.0)
    strategy.client_key = "client"
    trained = strategy.start(grid, ArrayRecord(blank().state_dict()), num_rounds=2, timeout=120).arrays
    known = strategy.history.clients
    unlearned = strategy.forget(trained, [0], ConDa(reference="round"))
    later = strategy.start(grid, unlearned, num_rounds=1, timeout=120).arrays
    found = {
        "known": known,
        "left": strategy.history.clients,
        "mark": [_mark(arrays) for arrays in (trained, unlearned, later)],
        "accuracy": [_accuracy(arrays) for arrays in (trained, unlearned, later)],
        "rounds": strategy.history.rounds,
    }
    path = Path(os.environ["LEAVING_OUT"])
    part = path.with_suffix(".partial")
    part.write_text(json.dumps(found), encoding="utf-8")
    os.replace(part, path)


def _mark(arrays: ArrayRecord) -> float:
    """Size of the weights that only client 0 ever moved."""
    return float(arrays.to_torch_state_dict()["weight"][:, MARK].abs().sum())


def _accuracy(arrays: ArrayRecord) -> float:
    model = blank()
    model.load_state_dict(arrays.to_torch_state_dict())
    x, y = rows(1, 2)
    with torch.no_grad():
        return float((model(x).argmax(1) == y).float().mean())
