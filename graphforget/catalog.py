"""Plain name tables of methods, datasets and tasks, imported when asked for, with "did you mean"."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from graphforget.errors import unknown

METHODS: dict[str, str] = {
    "retrain": "graphforget.methods.retrain:Retrain",
    "finetune": "graphforget.methods.finetune:FineTune",
    "gradient_ascent": "graphforget.methods.gradient_ascent:GradientAscent",
    "d2dgn": "graphforget.methods.d2dgn:D2DGN",
    "d2dgn_calibrated": "graphforget.methods.d2dgn_calibrated:CalibratedD2DGN",
    "utu": "graphforget.gnn.utu:UtU",
    "gnndelete": "graphforget.gnn.gnndelete:GNNDelete",
    "gif": "graphforget.gnn.gif:GIF",
    "row_reset": "recsys.row_reset:RowReset",
    "mmrecun": "recsys.mmrecun:MMRecUN",
    "mmrecun_calibrated": "recsys.mmrecun_calibrated:CalibratedMMRecUN",
    "rrl": "recsys.rrl:RRL",
    "scif": "recsys.scif:SCIF",
    "receraser": "recsys.receraser:RecEraser",
    "amnesiac": "recsys.amnesiac:Amnesiac",
    "blindspot": "graphforget.regression.blindspot:Blindspot",
    "gaussian_amnesiac": "graphforget.regression.gaussian_amnesiac:GaussianAmnesiac",
    "features_labels": "graphforget.influence.features_labels:FeaturesLabels",
    "ij": "graphforget.influence.ij:InfinitesimalJackknife",
    "prox_ij": "graphforget.influence.prox_ij:ProximalJackknife",
    "del": "graphforget.vision.deletion_by_example:DEL",
    "duck": "graphforget.vision.duck:DUCK",
    "pgu": "graphforget.vision.pgu:PGU",
    "jit": "graphforget.vision.jit:JiT",
    "ssd": "graphforget.vision.ssd:SSD",
    "salun": "graphforget.vision.salun:SalUn",
    "unsir": "graphforget.vision.unsir:UNSIR",
    "bad_teaching": "graphforget.vision.bad_teaching:BadTeaching",
    "scrub": "graphforget.vision.scrub:SCRUB",
    "dmm": "graphforget.vision.datamodel_matching:DMM",
    "l1_sparse": "graphforget.vision.l1_sparse:L1Sparse",
    "online_repair": "graphforget.continual.repair:OnlineRepair",
    "chosen_replay": "graphforget.active.replay:ChosenReplay",
    "conda": "graphforget.federated.conda:ConDa",
    "conda_released": "graphforget.federated.conda:ConDaReleased",
    "fedaf": "graphforget.federated.fedaf:FedAFStyle",
    "fed_eraser": "graphforget.federated.fed_eraser:FedEraser",
    "pga": "graphforget.federated.pga:PGA",
    "unstar": "graphforget.llm.unstar:UnSTAR",
    "grad_diff": "graphforget.llm.grad_diff:GradDiff",
    "npo": "graphforget.llm.npo:NPO",
    "simnpo": "graphforget.llm.simnpo:SimNPO",
    "dpo": "graphforget.llm.dpo:DPO",
    "rmu": "graphforget.llm.rmu:RMU",
    "undial": "graphforget.llm.undial:UNDIAL",
    "task_vector": "graphforget.llm.task_vector:TaskVector",
    "esd": "graphforget.diffusion.esd:ESD",
    "ablating_concepts": "graphforget.diffusion.ablating:AblatingConcepts",
    "forget_me_not": "graphforget.diffusion.forget_me_not:ForgetMeNot",
    "sdd": "graphforget.diffusion.sdd:SDD",
}

ALIASES = {"grad_ascent": "gradient_ascent"}  # as papers on language models call it

TASKS: dict[str, str] = {
    "link": "graphforget.gnn.task:LinkPrediction",
    "node": "graphforget.gnn.task:NodeClassification",
    "recommend": "recsys.task:Recommendation",
    "image": "graphforget.vision.task:ImageClassification",
    "regression": "graphforget.regression.task:Regression",
    "linear": "graphforget.influence.task:LinearClassification",
    "sparse": "graphforget.influence.task:SparseClassification",
    "federated": "graphforget.federated.task:federated",
    "language": "graphforget.llm.task:CausalLM",
    "noise": "graphforget.diffusion.task:NoisePrediction",
    "restoration": "graphforget.llm.restor:Restoration",
}

LEARNERS: dict[str, str] = {
    "uniclun": "graphforget.continual.uniclun:UniCLUN",
    "er": "graphforget.continual.replay:ER",
    "der++": "graphforget.continual.replay:DERpp",
    "ewc": "graphforget.continual.ewc:EWC",
    "lwf": "graphforget.continual.lwf:LwF",
    "only_new": "graphforget.continual.replay:OnlyNew",
}


def find(table: Mapping[str, str], kind: str, name: str) -> Any:
    """Import what a table names.

    Raises:
        UnknownName: with the nearest known name.

    Example:
        >>> find(METHODS, "method", "d2dgn").__name__
        'D2DGN'
    """
    if name not in table:
        raise unknown(kind, name, tuple(table))
    module, attribute = table[name].split(":")
    return getattr(import_module(module), attribute)


def method(name: str) -> Any:
    """Return the class of a method by its catalog key, or by another name that it goes by.

    Example:
        >>> method("grad_ascent").__name__
        'GradientAscent'
    """
    return find(METHODS, "method", canonical(name))


def canonical(name: str) -> str:
    """The catalog key of a method; a name that is none comes back as it is.

    Example:
        >>> canonical("grad_ascent"), canonical("npo")
        ('gradient_ascent', 'npo')
    """
    return ALIASES.get(name, name)


def task(name: str) -> Any:
    """Return the class of a task by its catalog key."""
    return find(TASKS, "task", name)


def learner(name: str) -> Any:
    """Return the class of a learner of streams by its catalog key."""
    return find(LEARNERS, "learner", name)
