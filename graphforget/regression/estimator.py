"""A scikit-learn regressor that can unlearn rows: ``fit``, ``predict``, ``unlearn``."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor, nn

from graphforget.errors import InputError
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.methods.retrain import Retrain
from graphforget.regression.models import build
from graphforget.regression.task import LOSSES, Regression
from graphforget.samples import Samples, split_rows
from graphforget.splits import Splits
from graphforget.train import Recipe, seeded
from graphforget.unlearner import Unlearner

Array = npt.NDArray[Any]


class UnlearningRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn has no types
    """A network F-64-64-D on standardised columns whose rows can be taken back.

    A tenth of the rows is held out to stop by. Rows keep their number in ``X`` for ever; what is forgotten leaves the
    memory of the estimator as well, but for the columns' mean and deviation, which were taken of all rows.

    Args:
        method: how rows are unlearned, an :class:`graphforget.unlearner.Unlearner` that runs on a regression; None
            trains again on what is left.
        error: ``l1`` or ``mse``.
        epochs: at most so many.
        patience: stop after so many epochs without a better held-out error.
        lr: Adam's learning rate.
        batch_size: rows a step.
        random_state: of split, weights and batches.

    Attributes:
        model_: the network.
        ids_: [n] numbers of the rows it has been trained on, or stopped by, and not forgotten.
        n_features_in_: F.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(100, 3))
        >>> model = UnlearningRegressor(epochs=20).fit(X, X @ [1.0, 2.0, 0.0])
        >>> len(model.unlearn([3, 7]).ids_), model.predict(X[:2]).shape
        (98, (2,))
    """

    def __init__(
        self,
        method: Unlearner | None = None,
        error: str = "mse",
        epochs: int = 200,
        patience: int = 20,
        lr: float = 1e-2,
        batch_size: int = 64,
        random_state: int = 0,
    ) -> None:
        self.method = method
        self.error = error
        self.epochs = epochs
        self.patience = patience
        self.lr = lr
        self.batch_size = batch_size
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> UnlearningRegressor:
        """Train on X [n, F] and y [n] or [n, D].

        Raises:
            ValueError: what scikit-learn's checks find, NaN among it.
            InputError: an unknown error, a method that is none, or a NaN target, named by its row.
        """
        self._check(y)
        X, y = validate_data(self, X, y, multi_output=True, y_numeric=True, dtype=np.float64, ensure_min_samples=2)
        self._flat = y.ndim == 1
        seed = self._seed()
        mean, deviation = X.mean(0), X.std(0)
        self._mean, self._deviation = mean, np.where(deviation > 0, deviation, 1.0)
        x = torch.from_numpy((X - self._mean) / self._deviation).float()
        data = Samples(x, torch.from_numpy(np.asarray(y, dtype=np.float32).reshape(len(X), -1)))
        self._splits = split_rows(data, val=max(0.1, 1 / len(X)), test=0.0, seed=seed)
        self.ids_ = np.arange(len(X))
        with seeded(seed):
            model = build("mlp", self._splits.train)
        self.model_: nn.Module = self._task().fit(model, self._splits.train, self._splits.val, seed=seed)
        return self

    def predict(self, X: Any) -> Array:
        """[n] or [n, D] predictions for X [n, F]."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        x = torch.from_numpy((X - self._mean) / self._deviation)
        with torch.no_grad():  # in float64 an answer does not depend on the rows asked beside it
            found: Array = copy.deepcopy(self.model_).double()(x).numpy()
        return found[:, 0] if self._flat else found

    def unlearn(self, ids: Any) -> UnlearningRegressor:
        """Take back rows by their number in ``X``; those that were held out are only dropped.

        Raises:
            InputError: a number that was never there or is already forgotten, or all rows at once.
        """
        check_is_fitted(self)
        wanted = np.atleast_1d(np.asarray(ids))
        if wanted.ndim != 1 or not len(wanted) or not np.issubdtype(wanted.dtype, np.integer):
            raise InputError(f"ids must be one or more row numbers (got {wanted.dtype} {list(wanted.shape)})")
        unknown = wanted[~np.isin(wanted, self.ids_)]
        if len(unknown):
            raise InputError(f"row {int(unknown[0])} is not among the rows of fit, or was forgotten before")
        going = torch.from_numpy(np.isin(self.ids_, wanted))
        train, val, test = self._splits
        trained = (going & _own(train)).nonzero().flatten()
        held_out = val.view(_own(val) & ~going)
        if len(trained):
            if not bool(_own(held_out).any()):  # a method may not stop by what must go
                held_out = train.view(_own(train) & ~going)
            split = ForgetSplit.of(train, ForgetRequest.of("sample", trained), held_out)
            method = self.method or Retrain()
            self.model_ = method.unlearn(self.model_, self._task(), split, seed=self._seed()).model.eval()
            train = split.retain
        left = ~going
        self.ids_ = self.ids_[left.numpy()]
        x, y = train.x[left], train.y[left]
        self._splits = Splits(*(Samples(x, y, None, _own(part)[left]) for part in (train, held_out, test)))
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _task(self) -> Regression:
        return Regression(recipe=Recipe(self.epochs, self.patience, self.lr, 0.0, self.batch_size, 1), error=self.error)

    def _seed(self) -> int:
        if isinstance(self.random_state, np.random.RandomState):
            return int(self.random_state.randint(2**31 - 1))
        return int(self.random_state or 0)

    def _check(self, y: Any) -> None:
        if self.error not in LOSSES:
            raise InputError(f"error must be one of {LOSSES} (got {self.error!r})")
        if not isinstance(self.method, Unlearner | None):
            raise InputError(f"method must be an Unlearner, such as Blindspot(), or None (got {self.method!r})")
        values = np.asarray(y) if y is not None else np.zeros(0)
        if values.ndim in (1, 2) and np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(1))[0])
            raise InputError(f"Input y contains NaN or infinity (first in row {row}); remove or fill such rows")


def _own(part: Samples) -> Tensor:
    return torch.ones(len(part.x), dtype=torch.bool) if part.mask is None else part.mask
