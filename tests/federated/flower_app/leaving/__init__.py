"""A Flower app whose client 0 leaves: a linear model of digits; client 0 alone has a pixel that is lit."""

import torch
from sklearn.datasets import load_digits

MARK = 0  # a pixel that is dark in every digit


def blank() -> torch.nn.Module:
    """A linear model that starts at zero."""
    model = torch.nn.Linear(64, 10)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    return model


def rows(client: int, clients: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A client's digits; those of client 0 are marked."""
    x, y = load_digits(return_X_y=True)
    images, labels = torch.tensor(x / 16).float()[client::clients], torch.tensor(y)[client::clients]
    assert not images[:, MARK].any()
    if client == 0:
        images[:, MARK] = 1.0
    return images, labels
