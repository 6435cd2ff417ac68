"""How causal language models are run, trained and scored: ``model(input_ids, attention_mask).logits``, any module.

An element is one *answer token*: its outputs are the model's logits at the place before it, so that cross-entropy is
the usual loss of answers and every method of the base runs unchanged, token by token. Methods that speak of whole
answers ask :meth:`CausalLM.answers`. Rows are those of :mod:`graphforget.llm.tokens`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from graphforget import fresh
from graphforget.classes import ClassTask
from graphforget.errors import InputError
from graphforget.forget import ForgetSplit
from graphforget.llm.losses import IGNORE, nll
from graphforget.samples import Samples, SampleTask
from graphforget.task import Ask, Batch, evaluating
from graphforget.train import Recipe

RECIPE = Recipe(epochs=80, patience=20, lr=3e-3, batch_size=32, eval_every=5)  # our default, for models trained here
CHUNK = 64  # rows of a forward without gradient
WATCHED = 512  # rows that training looks at to see whether it has converged
FRESH = 1_000_003
FEW = 8  # rows that tell whether model, task and request fit


@dataclass(frozen=True)
class CausalLM(ClassTask[Samples], SampleTask):
    """Questions with answers by the likelihood of the answers' tokens.

    Args:
        recipe: see :class:`graphforget.task.Task`; ``batch_size`` counts rows.
        factory: see :class:`graphforget.task.Task`; models of transformers need none: their configuration is enough.
        layer_names: see :class:`graphforget.samples.SampleTask`.
        tokenizer: needed where text is written: generation, UnSTAR, DPO.
        generator: of anti-samples, for UnSTAR; see :mod:`graphforget.llm.antisamples`.
        refusals: other answers than the forgotten ones, for DPO.

    Example:
        >>> from graphforget.llm.models import build
        >>> from graphforget.llm.tokens import encode, train_tokenizer
        >>> tokenizer = train_tokenizer(["Who is Ann?", "A painter"])
        >>> rows = encode(tokenizer, [("Who is Ann?", "A painter")])
        >>> model, task = build("llama_tiny", tokenizer), CausalLM()
        >>> list(task.outputs(model, rows, task.elements(rows, rows)).shape), sorted(task.evaluate(model, rows, rows))
        ([3, 10], ['accuracy', 'exact', 'nll', 'prob'])
    """

    recipe: Recipe = RECIPE
    tokenizer: Any = None
    generator: Any = None
    refusals: tuple[str, ...] = ()

    score_name: ClassVar[str] = "exact"

    def batches(self, context: Samples, view: Samples, rng: torch.Generator | None) -> Iterator[Batch]:
        """The view's answer tokens; with ``rng`` those of shuffled rows, in mini-batches of rows by the recipe."""
        rows = view.rows()
        rows = rows[(view.y[rows.to(view.y.device), 1:] != IGNORE).any(1).cpu()]
        if not len(rows):
            return
        if rng is not None:
            rows = rows[torch.randperm(len(rows), generator=rng)]
        size = getattr(self.recipe, "batch_size", None) if rng is not None else None
        for part in rows.split(size or len(rows)):
            yield self.of_rows(view, part)

    def of_rows(self, view: Samples, rows: Tensor) -> Batch:
        """All answer tokens of some rows [n] of a view, as one batch."""
        labels = view.y[rows.to(view.y.device)]
        row, place = (labels[:, 1:] != IGNORE).nonzero(as_tuple=True)
        index = rows.to(labels.device)[row] * labels.shape[1] + place + 1
        return Batch(index, labels[row, place + 1], view)

    def bind(self, model: nn.Module, context: Samples) -> Ask:
        """Run the model on the rows that the batch's tokens stand in; without gradient at most 64 of them at once."""

        def ask(batch: Batch) -> Tensor:
            view, rows, row, place = _places(batch, context)
            if torch.is_grad_enabled():
                return _run(model, view, rows)[row, place - 1]
            found: Tensor | None = None
            for start in range(0, len(rows), CHUNK):
                chosen = (row >= start) & (row < start + CHUNK)
                logits = _run(model, view, rows[start : start + CHUNK])[row[chosen] - start, place[chosen] - 1]
                found = logits.new_empty(len(row), logits.shape[1]) if found is None else found
                found[chosen] = logits
            if found is None:
                raise InputError("the batch holds no token; check the request's kind")
            return found

        return ask

    def answers(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """(logits [R, T, V], labels [R, T]) of the rows that a batch's tokens stand in, shifted by one.

        Labels are IGNORE on all other tokens. With gradient where it is on.
        """
        view, rows, row, place = _places(batch, batch.input)
        logits = _run(model, view, rows)
        labels = torch.full(logits.shape[:2], IGNORE, device=logits.device)
        labels[row, place] = batch.label.to(logits.device)
        return logits[:, :-1], labels[:, 1:]

    def answer_nll(self, model: nn.Module, batch: Batch) -> Tensor:
        """[R] summed negative log-likelihood of each row's answer."""
        return nll(*self.answers(model, batch))

    def hidden(self, model: nn.Module, batch: Batch, layer: int) -> Tensor:
        """[B, d] hidden states after a decoder layer at the batch's tokens (models of transformers only).

        Raises:
            InputError: the model does not return hidden states, or has fewer layers.
        """
        view, rows, row, place = _places(batch, batch.input)
        if not hasattr(model, "config"):
            raise InputError(f"hidden states are asked of models of transformers only (got {type(model).__name__})")
        states = _forward(model, view, rows, output_hidden_states=True).hidden_states
        if not 1 <= layer < len(states):
            raise InputError(f"layer must lie in [1, {len(states) - 1}], the model's layers (got {layer})")
        found: Tensor = states[layer][row, place]
        return found

    def fresh(self, model: nn.Module, seed: int) -> nn.Module:
        """Return a never-trained model: from the factory, a transformers configuration, or by the base's rules."""
        config = getattr(model, "config", None)
        if self.factory is None and hasattr(config, "to_diff_dict") and not hasattr(model, "peft_config"):
            dtype = next(model.parameters()).dtype
            apart = seed + FRESH  # a model that was built under this very seed is another one
            return fresh.fresh(model, apart, lambda: type(model)(copy.deepcopy(config)).to(dtype))
        return fresh.fresh(model, seed, self.factory)

    def evaluate(
        self, model: nn.Module, context: Samples, view: Samples, reference: Tensor | None = None
    ) -> dict[str, float]:
        """Figures of answers under teacher forcing; with gold's outputs the distance to gold as well.

        exact: share of rows whose every token is the model's first choice, which is to say that greedy generation
        gives the answer; accuracy: share of tokens; prob: mean over rows of exp(-mean NLL); nll: mean over tokens.
        """
        batch = self.elements(context, view)
        outputs = self.teacher(model, context)(batch)
        right, loss = self._told(outputs, batch)
        row = _places(batch, context)[2].to(outputs.device)
        count = torch.bincount(row).double()
        every = torch.bincount(row, weights=right.double()) == count
        own = torch.bincount(row, weights=loss.double()) / count
        found = {
            "exact": float(every.double().mean()),
            "accuracy": float(right.double().mean()),
            "prob": float((-own).exp().mean()),
            "nll": float(loss.mean()),
        }
        return found if reference is None else found | self.to_gold(outputs, reference, batch)

    def held_out_score(self, model: nn.Module, context: Samples, held_out: Samples) -> float:
        """Share of the rows *trained on* that are answered exactly, their likelihood as tie-breaker.

        Nobody can know a fact that was never told: held-out facts do not say when training has converged.
        """
        rows = context.rows()
        rows = rows[torch.linspace(0, len(rows) - 1, min(len(rows), WATCHED)).round().long()]
        found = self.evaluate(model, context, context.view(context.mask_of(rows)))
        return round(found["exact"] - 1e-3 * found["nll"], 4)  # a likelihood that creeps on is no progress

    def posterior(self, outputs: Tensor, batch: Batch) -> Tensor:
        """[B, 2] logits [0, belief in the token]."""
        belief = self.scores(outputs, batch)
        return torch.stack([torch.zeros_like(belief), belief], dim=1)

    def structure(self, context: Samples, batch: Batch) -> npt.NDArray[np.float64]:
        """[B, 4] what the retained answers say of a token: see :func:`likeness`."""
        return likeness(context, batch)

    def check(self, model: nn.Module, split: ForgetSplit[Any]) -> None:
        """Raise InputError when the model or the request does not fit the task; a few rows are enough to see."""
        words = getattr(getattr(model, "config", None), "vocab_size", None)
        largest = int(split.data.x[:, 0].max())
        if words is not None and largest >= words:
            raise InputError(
                f"token ids must lie in [0, {words}), the model's vocabulary (got {largest}); "
                "encode the rows with the model's own tokenizer, or resize its embedding"
            )
        super().check(model, replace(split, forget=_few(split.forget), retain=_few(split.retain)))

    def generate(self, model: nn.Module, view: Samples, *, most: int = 32) -> list[str]:
        """Answer the questions of a view's rows greedily; text without special tokens, in the rows' order.

        Args:
            model: of transformers.
            view: rows whose prompts are asked; their answers are not shown.
            most: new tokens, at most.

        Raises:
            InputError: no tokenizer, or a model that cannot generate.
        """
        answer = getattr(model, "generate", None)
        if self.tokenizer is None or not callable(answer):
            raise InputError("generation needs a model of transformers and CausalLM(tokenizer=...) (got none)")
        rows, found = view.rows().to(view.y.device), []
        device = next(model.parameters()).device
        with evaluating(model), torch.no_grad():
            for part in rows.split(CHUNK):
                ids, mask = _prompts(view, part, self.tokenizer.pad_token_id)
                out = answer(
                    input_ids=ids.to(device),
                    attention_mask=mask.to(device),
                    max_new_tokens=most,
                    do_sample=False,
                    pad_token_id=self.tokenizer.pad_token_id,
                    eos_token_id=self.tokenizer.eos_token_id,
                )
                found += self.tokenizer.batch_decode(out[:, ids.shape[1] :].tolist(), skip_special_tokens=True)
        return [text.strip() for text in found]

    def _told(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """([B] is the first choice right, [B] loss)."""
        return outputs.argmax(1) == batch.label.to(outputs.device), self.criterion(outputs, batch)


def likeness(context: Samples, batch: Batch) -> npt.NDArray[np.float64]:
    """[B, 4] of each token among the answers of the context.

    The logarithms of its share of all answer tokens and of those that follow the same token (add-one), its place in
    the answer, and the share of the ten rows with the nearest questions that have it at the same place.
    """
    view, rows, row, place = _places(batch, context)
    known = context.rows().to(context.y.device)
    labels, ids = context.y[known], context.x[known, 0]
    words = int(max(context.x[:, 0].max(), view.x[:, 0].max())) + 1
    one, where = (labels[:, 1:] != IGNORE).nonzero(as_tuple=True)
    single = torch.bincount(labels[one, where + 1], minlength=words).double()
    pairs, count = torch.unique(ids[one, where] * words + labels[one, where + 1], return_counts=True)
    before = torch.bincount(ids[one, where], minlength=words).double()
    last, own = view.x[rows[row], 0, place - 1], batch.label.to(view.y.device)
    spot = torch.searchsorted(pairs, last * words + own).clamp(max=len(pairs) - 1)
    both = torch.where(pairs[spot] == last * words + own, count[spot], 0).double()
    step = place - (view.y[rows] != IGNORE).int().argmax(1)[row]
    near = nearest(context, known, view, rows)
    start = (labels != IGNORE).int().argmax(1)
    at = (start[near[row]] + step[:, None]).clamp(max=labels.shape[1] - 1)
    agree = (labels[near[row], at] == own[:, None]).double().mean(1)
    found = [
        ((single[own] + 1) / (single.sum() + words)).log(),
        ((both + 1) / (before[last] + words)).log(),
        step,
        agree,
    ]
    table: npt.NDArray[np.float64] = torch.stack([each.double() for each in found], dim=1).cpu().numpy()
    return table


def nearest(context: Samples, known: Tensor, view: Samples, rows: Tensor) -> Tensor:
    """[R, k] places in ``known`` of the ten rows whose questions are nearest to each of ``rows``, itself left out."""
    table = (2.0 * torch.randint(2, (int(max(context.x.max(), view.x.max())) + 1, 64), generator=_fixed()) - 1) / 8
    both = [_bag(context, known, table), _bag(view, rows, table)]
    apart = torch.cdist(both[1], both[0])
    apart[rows.cpu()[:, None] == known.cpu()[None]] = torch.inf
    return apart.topk(min(10, len(known)), largest=False).indices.to(context.y.device)


def _bag(view: Samples, rows: Tensor, table: Tensor) -> Tensor:
    """[R, 64] the sum of the signs of each question's words."""
    prompt = (view.y[rows] == IGNORE) & (view.x[rows, 1] == 1)
    return (table[view.x[rows, 0].cpu()] * prompt.cpu()[:, :, None]).sum(1)


def _fixed() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _few(view: Samples) -> Samples:
    rows = view.rows()
    return view.view(view.mask_of(rows[:FEW]))


def _places(batch: Batch, context: Samples) -> tuple[Samples, Tensor, Tensor, Tensor]:
    """(data, [R] rows, [B] number of each token's row among them, [B] its place in the row)."""
    view: Samples = batch.input if batch.input is not None else context
    width = view.y.shape[1]
    rows, row = torch.unique(batch.index // width, return_inverse=True)
    return view, rows, row, batch.index % width


def _forward(model: nn.Module, view: Samples, rows: Tensor, **extra: Any) -> Any:
    device = next((p.device for p in model.parameters()), view.x.device)
    width = int((view.x[rows, 1] != 0).any(0).nonzero()[-1]) + 1
    ids, mask = (view.x[rows, part, :width].to(device) for part in (0, 1))
    return model(input_ids=ids, attention_mask=mask, **extra)


def _run(model: nn.Module, view: Samples, rows: Tensor) -> Tensor:
    """[R, T, V] logits of rows, cut after the longest of them."""
    logits: Tensor = _forward(model, view, rows).logits
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def _prompts(view: Samples, rows: Tensor, pad: int) -> tuple[Tensor, Tensor]:
    """([R, T] prompts padded on the left, [R, T] their mask)."""
    start = (view.y[rows] != IGNORE).int().argmax(1)
    width = int(start.max())
    place = torch.arange(width, device=start.device)[None] - (width - start)[:, None]
    mask = place >= 0
    ids = view.x[rows, 0].gather(1, place.clamp(min=0))
    return ids.masked_fill(~mask, pad), mask.long()
