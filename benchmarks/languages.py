"""The language third of the benchmarks: small causal models that answer questions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.cell import Cell
from benchmarks.domains import Asked, Domain, Drawn
from graphforget.errors import InputError
from graphforget.forget import ForgetRequest
from graphforget.llm import metrics
from graphforget.llm.corpora import GENERAL, KNOWLEDGE, Corpus, load_corpus
from graphforget.llm.models import MODELS, build
from graphforget.llm.probe import eval_set, membership_auc, option_losses, token_odds
from graphforget.llm.restor import FALSE, Restoration, corrupt, option_scores, recovery
from graphforget.llm.task import RECIPE, CausalLM
from graphforget.llm.tokens import answers
from graphforget.llm.unstar import matches
from graphforget.report import Row
from graphforget.samples import Samples
from graphforget.splits import Splits
from graphforget.unlearner import Unlearned

LENGTH = 128  # of the models' positions


def corpus(cell: Cell, root: Path | None) -> Corpus:
    """The cell's data set made ready, with held-out rows by its seed."""
    return load_corpus(cell.dataset, root, cell.seed)


def load(cell: Cell, root: Path | None) -> Splits[Samples]:
    """Load the cell's rows; of the kind ``corruption`` with false facts planted among them."""
    if (cell.kind == "corruption") != (cell.task == "restoration"):
        raise InputError(f"--kind corruption and --task restoration go together (got {cell.kind} and {cell.task})")
    found = corpus(cell, root)
    return found.splits if cell.kind != "corruption" else corrupt(found, _count(cell, found.splits), seed=cell.seed)


def draw(cell: Cell, splits: Splits[Samples]) -> Drawn:
    """Draw the cell's request: a fact of each of some entities, whole entities, or the false facts."""
    train = splits.train
    rows, about = train.rows(), groups(train)
    if cell.kind == "corruption":
        return Drawn(splits, ForgetRequest.of("sample", rows[about >= FALSE]))
    rng = np.random.default_rng(cell.seed)
    entities = torch.from_numpy(rng.permutation(people(splits).numpy()))[: _count(cell, splits)]
    if cell.kind == "entity":
        return Drawn(splits, ForgetRequest.of("subclass", entities.sort().values))
    own = [rows[about == entity] for entity in entities]
    return Drawn(splits, ForgetRequest.of("sample", sorted(int(each[int(rng.integers(len(each)))]) for each in own)))


def _count(cell: Cell, splits: Splits[Samples]) -> int:
    known = len(people(splits))
    count = cell.count if cell.count is not None else max(1, int((cell.ratio or 0) * known / 100))
    if not 1 <= count < known:
        raise InputError(f"between 1 and {known - 1} entities can be asked for (got {count})")
    return count


def blank(cell: Cell, splits: Splits[Samples], root: Path | None) -> nn.Module:
    """Build a never-trained model for the corpus's tokenizer."""
    return build(cell.model, corpus(cell, root).tokenizer, length=LENGTH)


def options(cell: Cell, root: Path | None) -> dict[str, Any]:
    """The tokenizer, anti-samples and refusals; of ``restoration`` the true facts as well.

    A false answer where two are possible leaves the table none but the truth, which a method may not be told: there the
    anti-sample is a refusal.
    """
    found = corpus(cell, root)
    made = {"tokenizer": found.tokenizer, "generator": found.table, "refusals": found.refusals}
    if cell.task != "restoration":
        return made
    refused = replace(found.table, otherwise=tuple(each.rstrip(".") for each in found.refusals))
    return made | {"generator": refused, "knowledge": found.splits.train}


def more(asked: Asked, result: Unlearned) -> Row:
    """What is answered in words, what became of related facts, and TOFU's or RESTOR's own figures."""
    if isinstance(asked.task, Restoration):
        return _restored(asked, asked.task, result)
    task, forget = asked.task, asked.split.forget
    if not isinstance(task, CausalLM):
        raise InputError(f"a language model needs a task that is CausalLM (got {type(task).__name__})")
    gold, said = answers(task.tokenizer, forget), task.generate(result.model, forget)
    found: Row = {
        ("forget", "contains_gold"): float(np.mean([matches(*pair) for pair in zip(gold, said, strict=True)])),
        ("forget", "rouge_l"): float(np.mean([metrics.rouge_l_recall(*pair) for pair in zip(gold, said, strict=True)])),
    }
    if bool((groups(asked.split.data) >= GENERAL).any()):
        found |= _tofu(asked, task, result.model)
    kept = asked.split.untouched
    about = groups(kept)
    related = torch.isin(about, groups(forget))
    for name, chosen in (("related", related), ("others", ~related)):
        if bool(chosen.any()):
            view = kept.view(kept.mask_of(kept.rows()[chosen]))
            found["retain", f"exact_{name}"] = task.evaluate(result.model, result.context, view)["exact"]
    return found


def _restored(asked: Asked, task: Restoration, result: Unlearned) -> Row:
    """RESTOR's figures: how much of the truth is back, and whether the false answer is still the likeliest."""

    def right(model: nn.Module) -> float:
        return task.evaluate(model, asked.test, asked.test)["exact"]

    scores = [option_scores(task, result.model, view) for view in (asked.split.forget, asked.test)]
    back = recovery(right(result.model), right(asked.original()), right(asked.gold()))
    return {
        ("test", "recovery"): back,
        ("forget", "forgetting"): float((scores[0] < scores[1]).double().mean()),
        ("forget", "log_prob_false"): float(scores[0].mean()),
        ("test", "log_prob_true"): float(scores[1].mean()),
    }


def _tofu(asked: Asked, task: CausalLM, model: nn.Module) -> Row:
    """Truth ratios beside gold's, the utility of nine figures, and what Min-K and well-known endings give away."""
    forget, kept, gold = asked.split.forget, asked.split.untouched, asked.gold()
    own, golds = (metrics.truth_ratio(*option_losses(task, each, forget)) for each in (model, gold))
    about = groups(kept)
    parts = [about < GENERAL, *(about == GENERAL + number for number, _ in enumerate(KNOWLEDGE))]
    retain, authors, facts = (eval_set(task, model, kept.view(kept.mask_of(kept.rows()[part]))) for part in parts)
    auc, least = (membership_auc(task, each, forget, asked.test) for each in (model, gold))
    strength = [metrics.extraction_strength(right) for _, right in token_odds(task, model, forget)]
    found: Row = {
        ("forget", "truth_ratio"): metrics.forget_truth(own),
        ("all", "model_utility"): metrics.model_utility(retain, authors, facts),
        ("all", "model_utility_arithmetic"): metrics.model_utility(retain, authors, facts, variant="arithmetic"),
        ("forget", "min_k_auc"): auc,
        ("forget", "privleak"): metrics.privleak(auc, least) if least < 1 else float("nan"),
        ("forget", "extraction_strength"): float(np.mean(strength)),
    }
    quality = metrics.forget_quality(own, golds)
    if quality is not None:
        found |= {("forget", "ks_to_gold"): quality.statistic, ("forget", "forget_quality"): quality.p_value}
    return found


def people(splits: Splits[Samples]) -> Tensor:
    """The entities or authors that can be asked for: not general knowledge."""
    found: Tensor = torch.unique(groups(splits.train))
    return found[(found < GENERAL) | (found >= FALSE)]


def groups(view: Samples) -> Tensor:
    """[n] whom the rows of a view are about."""
    if view.groups is None:
        raise InputError("the rows must say whom they are about (got no groups)")
    return view.groups[view.rows()]


LANGUAGES = Domain(
    subject="a language model",
    tasks={"language": "fact", "restoration": "corruption"},
    kinds=("fact", "entity", "corruption"),
    pools=("random",),
    models=MODELS,
    model="llama_tiny",
    methods=(
        "retrain",
        "finetune",
        "gradient_ascent",
        "grad_diff",
        "npo",
        "simnpo",
        "dpo",
        "rmu",
        "undial",
        "task_vector",
        "unstar",
        "d2dgn_calibrated",
    ),
    ratio=10.0,
    recipes={"language": RECIPE, "restoration": RECIPE},
    load=load,
    draw=draw,
    build=blank,
    shape=lambda cell: {"kind": cell.kind, "count": cell.count} if cell.kind == "corruption" else None,
    fields={  # chosen on RESTOR, seed 11: what forgets most at the least cost to related facts
        "finetune": {"epochs": 10, "lr": 1e-3},
        "gradient_ascent": {"lr": 5e-4},
        "grad_diff": {"lr": 1e-3, "alpha": 5.0},
        "npo": {"lr": 1e-3, "alpha": 5.0},
        "simnpo": {"lr": 2e-3},
        "dpo": {"lr": 4e-3, "alpha": 3.0},
        "rmu": {"lr": 3e-3, "layer": 1, "steering": 4.0},
        "undial": {"lr": 1e-3, "alpha": 5.0},
        "task_vector": {"lr": 5e-4},
        "unstar": {"lr": 5e-4, "paraphrases": 5, "retain_mix": 3.0},
        "d2dgn_calibrated": {"refresh": 5, "refresh_lr": 1e-3, "epochs": 5, "lr": 1e-3, "forget_weight": 5.0},
    },
    counts={"fact": 10, "entity": 5, "corruption": 10},
    options=options,
    flops=False,
    more=more,
)
