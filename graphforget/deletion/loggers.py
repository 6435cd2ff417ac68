"""A verification in the tracker that a team already looks at: MLflow, Weights & Biases or TensorBoard.

A logger is anything with ``log``: see :class:`Logger`. What is sent are the figures and the verdict of
:class:`graphforget.deletion.verify.Verification`, and files that the caller names; no id and no single element. Needs
the extra ``track``.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from graphforget.deletion.verify import Verification
from graphforget.errors import missing_extra, unknown

OUTCOMES = {"pass": 1.0, "inconclusive": 0.0, "fail": -1.0}  # so that a chart over versions shows them


class Logger(Protocol):
    """Where figures go."""

    def log(self, figures: Mapping[str, float], tags: Mapping[str, str], files: Sequence[Path], step: int) -> None:
        """Keep the figures of one deletion.

        Args:
            figures: name -> value; names hold letters, digits, ``_``, ``-``, ``.`` and ``/`` only.
            tags: name -> words.
            files: the report and the receipt, say.
            step: number of the version.
        """


@dataclass(frozen=True)
class TensorBoard:
    """Event files for TensorBoard; files are named in a text, not copied.

    Args:
        target: the folder.
    """

    target: str

    def log(self, figures: Mapping[str, float], tags: Mapping[str, str], files: Sequence[Path], step: int) -> None:
        """See :class:`Logger`."""
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise missing_extra("tensorboard", "track") from error
        with SummaryWriter(self.target) as writer:
            for name, value in figures.items():
                writer.add_scalar(name, value, step)
            lines = [f"{name}: {value}" for name, value in [*tags.items(), *(("file", each.name) for each in files)]]
            writer.add_text("deletion", "\n\n".join(lines), step)


@dataclass(frozen=True)
class MLflow:
    """A run of the experiment ``deletions``.

    Args:
        target: tracking URI, such as ``http://host:5000`` or ``sqlite:///mlflow.db``.
    """

    target: str

    def log(self, figures: Mapping[str, float], tags: Mapping[str, str], files: Sequence[Path], step: int) -> None:
        """See :class:`Logger`."""
        try:
            from mlflow.entities import Metric, RunTag
            from mlflow.tracking import MlflowClient
        except ImportError as error:
            raise missing_extra("mlflow", "track") from error
        client = MlflowClient(tracking_uri=self.target)  # of its own: the process's tracking URI is left alone
        found = client.get_experiment_by_name("deletions")
        experiment = found.experiment_id if found else client.create_experiment("deletions")
        run = client.create_run(experiment, run_name=f"version {step}")
        key, now = run.info.run_id, run.info.start_time
        metrics = [Metric(name, value, now, step) for name, value in figures.items()]
        client.log_batch(key, metrics=metrics, tags=[RunTag(name, value) for name, value in tags.items()])
        for each in files:
            client.log_artifact(key, str(each))
        client.set_terminated(key)


@dataclass(frozen=True)
class WandB:
    """A run of a Weights & Biases project; without code, git state and machine details.

    Args:
        target: the project; ``offline:FOLDER`` keeps the run in a folder, for ``wandb sync``.
    """

    target: str

    def log(self, figures: Mapping[str, float], tags: Mapping[str, str], files: Sequence[Path], step: int) -> None:
        """See :class:`Logger`."""
        try:
            import wandb
        except ImportError as error:
            raise missing_extra("wandb", "track") from error
        quiet = wandb.Settings(
            silent=True, console="off", disable_git=True, disable_code=True, disable_job_creation=True,
            x_disable_meta=True, x_disable_stats=True, x_disable_machine_info=True,
        )  # fmt: skip
        offline = self.target.startswith("offline:")
        folder = self.target.removeprefix("offline:") if offline else None
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
        run = wandb.init(
            project="deletions" if offline else self.target,
            name=f"version {step}",
            mode="offline" if offline else "online",
            dir=folder,
            settings=quiet,
        )
        with run:
            run.log(dict(figures), step=step)
            run.summary.update(dict(tags))
            for each in files:
                shutil.copy(each, run.dir)  # what lies there goes with the run


LOGGERS: dict[str, Callable[[str], Logger]] = {"tensorboard": TensorBoard, "mlflow": MLflow, "wandb": WandB}


def logger(named: str) -> Logger:
    """Return the logger that ``NAME:TARGET`` names.

    Args:
        named: such as ``tensorboard:runs``, ``mlflow:sqlite:///mlflow.db``, ``wandb:project``.

    Raises:
        UnknownName: with the known names.

    Example:
        >>> logger("tensorboard:runs")
        TensorBoard(target='runs')
    """
    name, _, target = named.partition(":")
    if name not in LOGGERS or not target:
        raise unknown("logger, written as NAME:TARGET", named, tuple(LOGGERS))
    return LOGGERS[name](target)


def send(to: Logger, verification: Verification, *, step: int, files: Sequence[Path] = ()) -> None:
    """Send a verification to a logger.

    Args:
        to: the logger.
        verification: of one deletion.
        step: number of the version.
        files: to keep beside it.
    """
    to.log(figures_of(verification), tags_of(verification), [Path(each) for each in files], step)


def figures_of(verification: Verification) -> dict[str, float]:
    """Name -> value of every check, of every figure before, after and of gold, and of the outcome."""
    found = {"deletion/outcome": OUTCOMES[verification.verdict.outcome]}
    for check in verification.verdict.checks:
        for name, value in (("", check.value), ("_low", check.low), ("_high", check.high)):
            if value is not None:
                found[f"deletion/{check.name}{name}"] = value
    for row in verification.rows:
        if row["value"] is not None:
            found[f"{row['role']}/{row['part']}/{row['metric'].replace('@', '_at_')}"] = float(row["value"])
    return found | {f"cost/{name}": value for name, value in verification.cost.items() if value is not None}


def tags_of(verification: Verification) -> dict[str, str]:
    """Name -> words: the method, the outcome and its reasons."""
    return {
        "method": verification.method,
        "task": verification.task,
        "outcome": verification.verdict.outcome,
        "reasons": "; ".join(verification.verdict.reasons),
        "golds": str(verification.golds),
        "subjects": str(verification.subjects),
    }
