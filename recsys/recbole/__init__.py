"""The RecBole plug-in: unlearn from a trained model of RecBole 1.2, and go on in RecBole.

    from recsys import recbole

    run = recbole.load("saved/LightGCN-Nov-21-2026_12-00-00.pth", "dataset/ml-100k")
    result = recbole.unlearn(run.model, run.train_data, run.valid_data, run.test_data, users=["196", "186"])
    print(recbole.evaluate(result.model, result.train_data, result.test_data))
    recbole.save(result, "saved/LightGCN-unlearned.pth")

Everything of RecBole runs inside :func:`compatible`, which makes room for it on current numpy, scipy and pandas and
takes everything back. Importing this package does not import RecBole.
"""

from recsys.recbole.bridge import Data, Result, evaluate, filtered, unlearn
from recsys.recbole.checkpoint import Loaded, load, save
from recsys.recbole.compat import compatible, trusted
from recsys.recbole.convert import splits_of, to_graph
from recsys.recbole.modalities import settings_for
from recsys.recbole.models import excluded, supported
from recsys.recbole.own import model_class
from recsys.recbole.sampler import KernelSampler
from recsys.recbole.wrap import Wrapped

__all__ = [
    "Data",
    "KernelSampler",
    "Loaded",
    "Result",
    "Wrapped",
    "compatible",
    "evaluate",
    "excluded",
    "filtered",
    "load",
    "model_class",
    "save",
    "settings_for",
    "splits_of",
    "supported",
    "to_graph",
    "trusted",
    "unlearn",
]
