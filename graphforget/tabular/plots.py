"""Pictures of a score's components while a generator learns."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike

from graphforget.errors import InputError, missing_extra
from graphforget.tabular.tabsyndex import COMPONENTS, TabSynDex


def draw_components(history: Sequence[tuple[int, TabSynDex]], path: str | PathLike[str]) -> None:
    """Draw each component and the score against the epochs, and write the picture.

    Args:
        history: [(epoch, score)].
        path: of the picture; its ending says the format.

    Raises:
        InputError: nothing to draw.
        MissingExtra: without matplotlib.
    """
    if not history:
        raise InputError("a picture needs at least one score (got none)")
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise missing_extra("matplotlib", "report") from error
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(11, 6), sharex=True, sharey=True)
    epochs = [epoch for epoch, _ in history]
    for axis, name in zip(axes.flat, (*COMPONENTS, "score"), strict=True):
        axis.plot(epochs, [getattr(each, name) for _, each in history], color="tab:blue", linewidth=1.8)
        axis.set_title(name)
        axis.set_ylim(0, 1.02)
        axis.grid(alpha=0.3)
    for axis in axes[-1]:
        axis.set_xlabel("epochs")
    figure.suptitle("TabSynDex while the generator learns")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
