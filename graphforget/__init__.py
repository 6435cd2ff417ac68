"""graphforget: make a trained graph model or recommender forget, and show the evidence.

>>> import graphforget
>>> graphforget.__version__.count(".")
2
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphforget.api import Forgotten as Forgotten
    from graphforget.api import unlearn as unlearn
    from graphforget.text import unlearn_text as unlearn_text

__version__ = "0.1.0"

_NAMES = {
    "unlearn": "graphforget.api",
    "unlearn_text": "graphforget.text",
    "Forgotten": "graphforget.api",
    "Graph": "graphforget.graph",
    "ForgetRequest": "graphforget.forget",
    "ForgetSplit": "graphforget.forget",
    "Samples": "graphforget.samples",
    "split_rows": "graphforget.samples",
    "Splits": "graphforget.splits",
    "split_edges": "graphforget.splits",
    "split_nodes": "graphforget.splits",
    "Recipe": "graphforget.train",
    "workers": "graphforget.parallel",
    "checkpoints": "graphforget.checkpoint",
    "Unlearned": "graphforget.unlearner",
    "Unlearner": "graphforget.unlearner",
    "Report": "graphforget.report",
    "compare": "graphforget.evidence",
    "LinkPrediction": "graphforget.gnn.task",
    "NodeClassification": "graphforget.gnn.task",
    "ImageClassification": "graphforget.vision.task",
    "Regression": "graphforget.regression.task",
    "CausalLM": "graphforget.llm.task",
    "Retrain": "graphforget.methods.retrain",
    "FineTune": "graphforget.methods.finetune",
    "GradientAscent": "graphforget.methods.gradient_ascent",
    "D2DGN": "graphforget.methods.d2dgn",
    "CalibratedD2DGN": "graphforget.methods.d2dgn_calibrated",
    "UtU": "graphforget.gnn.utu",
    "GNNDelete": "graphforget.gnn.gnndelete",
    "GIF": "graphforget.gnn.gif",
}

__all__ = ["__version__", *_NAMES]


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'graphforget' has no attribute {name!r}")
    return getattr(import_module(_NAMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
