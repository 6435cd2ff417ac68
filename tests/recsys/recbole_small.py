"""A small part of the ml-100k that lies in RecBole's wheel, and RecBole runs on it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import torch

from graphforget.methods.finetune import FineTune
from graphforget.train import Recipe
from recsys.recbole import compatible
from recsys.task import Recommendation

TASK = Recommendation(recipe=Recipe(epochs=1, patience=1, lr=1e-3, batch_size=2048))
QUICK = FineTune(1, 1e-3)
SIZES = {  # every model small; a model takes what it knows
    "embedding_size": 16,
    "mlp_hidden_size": [32],
    "latent_dimension": 16,
    "hidden_dimension": 32,
    "hidden_size_list": [16, 16],
    "num_clusters": 5,
    "gcn_output_dim": 32,
    "user_embedding_size": 16,
    "item_embedding_size": 16,
    "user_hidden_size_list": [16, 8],
    "item_hidden_size_list": [16, 8],
}
BY_USER = ("CDAE", "ENMF", "MultiDAE", "MultiVAE", "RaCT", "RecVAE")


class Run(NamedTuple):
    config: Any
    model: Any
    train: Any
    valid: Any
    test: Any
    checkpoint: Path | None


def write_small(root: Path, users: int = 60, name: str = "small") -> Path:
    """Write the interactions of the first users with items that five of them have; return the folder of data sets."""
    import recbole

    whole = Path(recbole.__path__[0]) / "dataset_example" / "ml-100k" / "ml-100k.inter"
    head, *lines = whole.read_text().splitlines()
    kept = [line for line in lines if int(line.split("\t")[0]) <= users]
    often = Counter(line.split("\t")[1] for line in kept)
    kept = [line for line in kept if often[line.split("\t")[1]] >= 5]
    folder = root / name
    folder.mkdir(parents=True)
    (folder / f"{name}.inter").write_text("\n".join([head, *kept, ""]))
    return root


def settings(name: str, root: Path, **changes: Any) -> dict[str, Any]:
    """What a run is configured with."""
    values: dict[str, Any] = {
        **SIZES,
        "data_path": str(root),
        "checkpoint_dir": str(root / "saved"),
        "epochs": 1,
        "show_progress": False,
        "eval_batch_size": 10**7,
        "metrics": ["Recall", "NDCG"],
        "valid_metric": "Recall@10",
        "load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"]},
        **changes,
    }
    if name in BY_USER:
        values["train_neg_sample_args"] = None
    if name == "DGCF":
        values["train_batch_size"] = 512  # it samples users / batches of them, and cannot sample more than there are
    if name == "SimpleX":
        values["train_neg_sample_args"] = {"distribution": "uniform", "sample_num": 5}
    return values


def run(name: str, root: Path, *, fit: bool = True, dataset: str = "small", **changes: Any) -> Run:
    """Train a model by RecBole's own trainer, as its ``run_recbole`` does."""
    with compatible():
        from recbole.config import Config
        from recbole.data import create_dataset, data_preparation
        from recbole.model import general_recommender
        from recbole.utils import get_trainer, init_seed

        config = Config(model=name, dataset=dataset, config_dict=settings(name, root, **changes))
        init_seed(config["seed"], config["reproducibility"])
        train, valid, test = data_preparation(config, create_dataset(config))
        init_seed(config["seed"], config["reproducibility"])
        model = getattr(general_recommender, name)(config, train.dataset)
        checkpoint = None
        if fit:
            trainer = get_trainer(config["MODEL_TYPE"], name)(config, model)
            trainer.fit(train, valid, show_progress=False, saved=name != "RaCT", verbose=False)
            checkpoint = Path(trainer.saved_model_file) if name != "RaCT" else None
    model.eval()
    return Run(config, model, train, valid, test, checkpoint)


def own_scores(model: Any, user_ids: torch.Tensor, items: int) -> torch.Tensor:
    """[n, I] what RecBole ranks by; the embeddings it may have kept are dropped first."""
    from recbole.data.interaction import Interaction

    for name in getattr(model, "other_parameter_name", ()):
        setattr(model, name, None)
    with torch.no_grad():
        return model.full_sort_predict(Interaction({model.USER_ID: user_ids})).view(-1, items)


def tokens(done, *ids, field: str = "user_id") -> list[str]:
    return [str(token) for token in done.train.dataset.id2token(field, list(ids))]


def rows(dataset) -> set[tuple[int, int]]:
    return set(zip(dataset.inter_feat["user_id"].tolist(), dataset.inter_feat["item_id"].tolist(), strict=True))
