"""What the server may write down during federated rounds, without a word from any client.

Contributions are accumulated online, two numbers a weight and client; nothing else of a round is kept unless the
updates themselves are asked for (FedEraser):

::

    init:   c_n += | theta_0 - theta_n^t |          distance to the initial model
    round:  c_n += | theta_n^t - theta^{t-1} |      the client's own update

``theta_n^t`` is client n's model at the end of its local training in round t, ``theta^t`` the global model after it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from graphforget.errors import InputError, NotApplicable, unknown
from graphforget.forget import ForgetSplit
from graphforget.whole import whole

State = Mapping[str, Tensor]
REFERENCES = ("init", "round")
KEEPS = ("nothing", "contributions", "updates")


@dataclass(frozen=True)
class Quarantined:
    """An update that was left out of its round.

    Args:
        round: number of the round, from 0.
        client: whose.
        reason: why.
    """

    round: int
    client: int
    reason: str


class Upload(NamedTuple):
    """What a client sends.

    Args:
        state: its model at the end of its local training.
        weight: of it in the average.
    """

    state: State
    weight: float


@dataclass(eq=False)
class History:
    """The record of federated training.

    Args:
        start: weights and buffers of the initial model.
        keep: ``contributions``, or ``updates`` for those of every client and round as well.
        contributions: {reference: {client: {name: like the weight}}}.
        last: client -> its upload of the last round.
        updates: of each round, client -> (its update, its weight); empty unless asked for.
        rounds: how many there were.
        quarantined: updates that were left out.
    """

    start: State
    keep: str = "contributions"
    contributions: dict[str, dict[int, dict[str, Tensor]]] = field(
        default_factory=lambda: {reference: {} for reference in REFERENCES}
    )
    last: dict[int, Upload] = field(default_factory=dict)
    updates: list[dict[int, Upload]] = field(default_factory=list)
    rounds: int = 0
    quarantined: list[Quarantined] = field(default_factory=list)

    def add(self, before: State, uploads: Mapping[int, Upload]) -> None:
        """Write down one round.

        Args:
            before: the global model that the clients started from.
            uploads: client -> what it sent; quarantined ones are not among them.
        """
        for client, upload in uploads.items():
            moved = {name: upload.state[name] - before[name] for name in floating(before)}
            sizes = {"init": {name: (upload.state[name] - self.start[name]).abs() for name in moved}}
            sizes["round"] = {name: value.abs() for name, value in moved.items()}
            for reference, each in sizes.items():
                table = self.contributions[reference]
                known = table.get(client)
                table[client] = each if known is None else {name: known[name] + value for name, value in each.items()}
        self.last = {client: Upload(_copy(each.state), each.weight) for client, each in uploads.items()}
        if self.keep == "updates":
            self.updates.append({client: _moved(each, before) for client, each in uploads.items()})
        self.rounds += 1

    @property
    def clients(self) -> tuple[int, ...]:
        """Everybody who contributed."""
        return tuple(sorted(self.contributions["init"]))

    def without(self, gone: Iterable[int]) -> History:
        """The same record without some clients: what may be kept once they are forgotten."""
        lost = set(gone)

        def rest(table: Mapping[int, Any]) -> dict[int, Any]:
            return {client: value for client, value in table.items() if client not in lost}

        return History(
            self.start,
            self.keep,
            {reference: rest(table) for reference, table in self.contributions.items()},
            rest(self.last),
            [rest(each) for each in self.updates],
            self.rounds,
            [each for each in self.quarantined if each.client not in lost],
        )

    def save(self, path: str | PathLike[str]) -> None:
        """Write the record to one safetensors file, whole or not at all.

        Raises:
            InputError: there is no such folder.
        """
        target = Path(path)
        if not target.parent.is_dir():
            raise InputError(f"there is no folder {str(target.parent)!r} (got {str(target)!r}); make it first")
        tensors = {f"start.{name}": value for name, value in self.start.items()}
        for reference, table in self.contributions.items():
            for client, each in table.items():
                tensors |= {f"{reference}.{client}.{name}": value for name, value in each.items()}
        for number, uploads in (("last", self.last), *enumerate(self.updates)):
            for client, upload in uploads.items():
                tensors |= {f"{number}.{client}.{name}": value for name, value in upload.state.items()}
        note = {
            "keep": self.keep,
            "rounds": self.rounds,
            "names": list(self.start),
            "quarantined": [asdict(each) for each in self.quarantined],
            "last": {client: each.weight for client, each in self.last.items()},
            "updates": [{client: each.weight for client, each in uploads.items()} for uploads in self.updates],
            "clients": list(self.clients),
        }
        plain = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
        with whole(target) as part:
            save_file(plain, part, {"history": json.dumps(note)})

    @classmethod
    def load(cls, path: str | PathLike[str]) -> History:
        """Read a record.

        Raises:
            InputError: the file is none, or is damaged.
        """
        try:
            with safe_open(Path(path), framework="pt") as file:
                note = json.loads((file.metadata() or {})["history"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            return cls._read(note, tensors)
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{path} holds no record of federated rounds ({type(error).__name__}: {error}); "
                "give the file that save wrote"
            ) from error

    @classmethod
    def _read(cls, note: Mapping[str, Any], tensors: State) -> History:
        def state(prefix: str) -> dict[str, Tensor]:
            return {name: tensors[f"{prefix}.{name}"] for name in note["names"] if f"{prefix}.{name}" in tensors}

        def uploads(number: object, weights: Mapping[str, float]) -> dict[int, Upload]:
            return {int(client): Upload(state(f"{number}.{client}"), weight) for client, weight in weights.items()}

        return cls(
            state("start"),
            note["keep"],
            {name: {client: state(f"{name}.{client}") for client in note["clients"]} for name in REFERENCES},
            uploads("last", note["last"]),
            [uploads(number, weights) for number, weights in enumerate(note["updates"])],
            note["rounds"],
            [Quarantined(**each) for each in note["quarantined"]],
        )


def floating(state: State) -> list[str]:
    """Names of the weights and buffers that are no counters."""
    return [name for name, value in state.items() if value.is_floating_point()]


def history_of(record: Mapping[str, Any], method: str) -> History:
    """The record of the rounds that made a model.

    Raises:
        InputError: there is none.
    """
    found = record.get("history")
    if not isinstance(found, History) or not found.rounds:
        raise InputError(
            f"{method} needs the record of federated training (got {sorted(record) or 'none'}); train with "
            "record=TrainRecord() and hand on record=that.notes"
        )
    return found


def leaving(split: ForgetSplit[Any], history: History, method: str) -> tuple[int, ...]:
    """The clients of a request that names nothing else.

    Raises:
        NotApplicable: the request is of another kind.
        UnknownName: a client without records: it took part in no round.
        InputError: everybody is leaving.
    """
    request = split.request
    if request is None or request.kinds != ("client",):
        kinds = "none" if request is None else ", ".join(request.kinds)
        raise NotApplicable(f"{method} forgets whole clients (got a request of the kind {kinds}); use finetune")
    clients = tuple(sorted(request.parts["client"].tolist()))
    for client in clients:
        if client not in history.clients:
            raise unknown("client with a record", client, tuple(map(str, history.clients)))
    if len(clients) == len(history.clients):
        raise InputError("every client with a record is leaving; train a new model instead")
    return clients


def _copy(state: State) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in state.items()}


def _moved(upload: Upload, before: State) -> Upload:
    return Upload({name: upload.state[name] - before[name] for name in floating(before)}, upload.weight)


def group_mean(table: Mapping[int, State], clients: Iterable[int]) -> dict[str, Tensor]:
    """Mean of some clients' contributions, weight by weight."""
    chosen = [table[client] for client in clients]
    return {name: torch.stack([each[name] for each in chosen]).mean(0) for name in chosen[0]}
