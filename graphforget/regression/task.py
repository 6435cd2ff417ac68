"""How regressors are run, trained and scored: ``model(x) -> [B, D]`` for targets [N, D].

The belief in a row is how near the prediction is to its target: minus the distance. A membership attack sees nothing
else of a regressor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from graphforget import metrics
from graphforget.errors import InputError, NotApplicable, unknown
from graphforget.samples import Samples, SampleTask
from graphforget.task import Batch
from graphforget.train import Recipe
from graphforget.unlearner import Job
from graphforget.values import ValueTask

RECIPE = Recipe(epochs=200, patience=20, lr=1e-3, batch_size=256, eval_every=1)  # our default
LOSSES = ("l1", "mse")


@dataclass(frozen=True)
class Regression(ValueTask[Samples], SampleTask):
    """Real targets [N, D] by absolute or squared error.

    Args:
        recipe: see :class:`graphforget.task.Task`.
        factory: see :class:`graphforget.task.Task`.
        layer_names: see :class:`graphforget.samples.SampleTask`.
        error: ``l1`` or ``mse``, the loss that models are trained with.

    Example:
        >>> import torch
        >>> data = Samples(torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0], [2.0]]))
        >>> task = Regression()
        >>> task.evaluate(torch.nn.Identity(), data, data)
        {'mae': 0.5, 'rmse': 0.7071067690849304}
    """

    recipe: Recipe = RECIPE
    error: str = "l1"

    score_name: ClassVar[str] = "mae"

    def __post_init__(self) -> None:
        if self.error not in LOSSES:
            raise unknown("error", self.error, LOSSES)

    def criterion(self, outputs: Tensor, batch: Batch) -> Tensor:
        """[B] absolute or squared error, mean over the D targets.

        Raises:
            InputError: outputs of another shape than the targets, which would be spread over one another.
        """
        if outputs.shape != batch.label.shape:
            raise InputError(
                f"the model's outputs must have the shape of the targets, {list(batch.label.shape)} "
                f"(got {list(outputs.shape)}); check what its forward returns"
            )
        apart = outputs - batch.label.to(outputs)
        return (apart.abs() if self.error == "l1" else apart.square()).mean(1)

    def evaluate(
        self, model: nn.Module, context: Samples, view: Samples, reference: Tensor | None = None
    ) -> dict[str, float]:
        """mae, rmse; with gold's predictions the distance to gold."""
        batch = self.elements(context, view)
        outputs = self.teacher(model, context)(batch)
        apart = outputs - batch.label.to(outputs)
        found = {"mae": float(apart.abs().mean()), "rmse": float(apart.square().mean().sqrt())}
        return found if reference is None else found | self.to_gold(outputs, reference, batch)

    def held_out_score(self, model: nn.Module, context: Samples, held_out: Samples) -> float:
        """Minus the mean error that the models are trained with."""
        batch = self.elements(context, held_out)
        return -float(self.criterion(self.teacher(model, context)(batch), batch).mean())

    def to_gold(self, outputs: Tensor, gold: Tensor, batch: Batch) -> dict[str, float]:
        """Wasserstein-1 distance between the predictions' distributions (mean over targets), their rmse, their bias."""
        return {
            "w1_to_gold": metrics.wasserstein(outputs, gold),
            "rmse_to_gold": float((outputs - gold).square().mean().sqrt()),
            "shift_to_gold": float((outputs - gold).mean()),
        }


def gone(job: Job, name: str) -> Batch:
    """The forgotten rows that nothing retains, as one batch.

    Raises:
        NotApplicable: the request takes values only, and every row stays.
    """
    found = next(iter(job.task.batches(job.split.retain, job.split.gone, None)), None)
    if found is None:
        raise NotApplicable(f"{name} forgets rows (got a request for values only); use finetune")
    return found
