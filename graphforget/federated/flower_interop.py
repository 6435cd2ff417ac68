"""Flower: a strategy that writes contributions down, and unlearning at the server.

An existing project changes one line, ``FedAvg(...)`` to ``RecordingFedAvg(...)``; any other strategy of the message
interface records as well once ``Recording`` stands before it: ``class Mine(Recording, FedProx): ...``. Clients are not
changed and send nothing more. When a client asks to be forgotten, the server calls ``strategy.forget``.

Clients are Flower's node ids, unless ``client_key`` names a metric of their replies that holds an integer of their own.
A node that was forgotten is sent no message any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor

from graphforget.errors import InputError, missing_extra, unknown
from graphforget.federated import rounds
from graphforget.federated.conda import ConDa, ConDaReleased, dampened
from graphforget.federated.history import History, Quarantined, Upload

try:
    from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
    from flwr.serverapp import Grid
    from flwr.serverapp.strategy import FedAvg
except ImportError as error:
    raise missing_extra("flwr", "federated") from error

BUFFERS = ("running_mean", "running_var", "num_batches_tracked")  # last part of a buffer's name: batch norm's


class Recording:
    """What a strategy needs to record; put it before the strategy: ``class Mine(Recording, FedProx): ...``.

    Attributes:
        keep: ``contributions``, or ``updates`` as well.
        client_key: metric of a reply that names its client by an integer; None takes Flower's node id.
        history: the record; None before the first round.
        forgotten: node ids that are sent nothing any more.
    """

    keep: str = "contributions"
    client_key: str | None = None
    history: History | None = None
    forgotten: frozenset[int] = frozenset()

    _before: dict[str, Tensor] | None = None
    _nodes: dict[int, int] | None = None

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """The strategy's own messages, but none to a forgotten node; remembers what the round starts from."""
        self._before = _state(arrays)
        if self.history is None:
            self.history = History(dict(self._before), self.keep)
        return self._known(super().configure_train(server_round, arrays, config, grid))  # type: ignore[misc]

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """The strategy's own messages, but none to a forgotten node."""
        return self._known(super().configure_evaluate(server_round, arrays, config, grid))  # type: ignore[misc]

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Write the round down and aggregate as the strategy does, without updates that cannot be used."""
        if self.history is None or self._before is None:
            raise InputError("the round was not configured by this strategy (got replies first); use strategy.start")
        every = list(replies)
        uploads: dict[int, Upload] = {}
        senders: dict[int, Message] = {}
        bad: list[Quarantined] = []
        for message in every:
            if message.has_error() or message.metadata.src_node_id in self.forgotten:
                continue
            client = self._client(message)
            if client in uploads:
                bad.append(Quarantined(self.history.rounds, client, "two replies of one round name this client"))
                continue
            senders[client] = message
            uploads[client] = self._upload(message)
        good, worse = rounds.usable(self._before, uploads, self.history.rounds)
        rounds.report(bad + worse, self.history)
        kept = [message for message in every if message.has_error()] + [senders[client] for client in good]
        if good:
            self.history.add(self._before, good)
        found: tuple[ArrayRecord | None, MetricRecord | None]
        found = super().aggregate_train(server_round, kept)  # type: ignore[misc]
        return found

    def forget(
        self, arrays: ArrayRecord, clients: Sequence[int], method: ConDa | ConDaReleased | None = None
    ) -> ArrayRecord:
        """Unlearn clients at the server: no message is sent, no data is read.

        Args:
            arrays: the global model; left as it is.
            clients: who leaves.
            method: ConDa by default.

        Returns:
            The unlearned global model. The record no longer holds the clients, and they are sent nothing any more.

        Raises:
            UnknownName: a client without a record.
            InputError: no round was recorded, or everybody leaves.
        """
        if self.history is None or not self.history.rounds:
            raise InputError("no round was recorded (got an empty record); train with this strategy first")
        for client in clients:
            if client not in self.history.clients:
                raise unknown("client with a record", client, tuple(map(str, self.history.clients)))
        if not clients or len(set(clients)) == len(self.history.clients):
            raise InputError(f"some clients must leave and some stay (got {list(clients)}); name those who leave")
        state = _state(arrays)
        buffers = [name for name in state if name.rsplit(".", 1)[-1] in BUFFERS]
        found, _ = dampened(state, self.history, list(clients), method or ConDa(), buffers)
        self.history = self.history.without(clients)
        nodes = self._nodes or {}
        self.forgotten |= {nodes[client] for client in clients}
        return ArrayRecord(found)

    def _known(self, messages: Iterable[Message]) -> list[Message]:
        return [message for message in messages if message.metadata.dst_node_id not in self.forgotten]

    def _client(self, message: Message) -> int:
        node = int(message.metadata.src_node_id)
        client = node
        if self.client_key is not None:
            found = self._metric(message, self.client_key)
            if not isinstance(found, int):
                raise InputError(
                    f"a reply's metrics must name its client as the integer {self.client_key!r} (got {found!r} of node "
                    f"{node}); send it, or leave client_key out"
                )
            client = found
        self._nodes = {**(self._nodes or {}), client: node}
        return client

    def _upload(self, message: Message) -> Upload:
        arrays = next(iter(message.content.array_records.values()), None)
        weight = self._metric(message, getattr(self, "weighted_by_key", "num-examples"))
        state = {} if arrays is None else _state(arrays)
        return Upload(state, float(weight) if isinstance(weight, int | float) else 0.0)

    @staticmethod
    def _metric(message: Message, name: str) -> Any:
        return next((record.get(name) for record in message.content.metric_records.values()), None)


class RecordingFedAvg(Recording, FedAvg):
    """FedAvg that records contributions; every argument is FedAvg's own."""


def _state(arrays: ArrayRecord) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in arrays.to_torch_state_dict().items()}
