"""The clients, as in any Flower project: nothing of graphforget is imported."""

import os
from pathlib import Path

import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from leaving import blank, rows

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    client, clients = (int(context.node_config[name]) for name in ("partition-id", "num-partitions"))
    with Path(os.environ["LEAVING_OUT"]).with_suffix(f".client{client}").open("a", encoding="utf-8") as file:
        file.write("asked\n")
    model = blank()
    model.load_state_dict(message.content["arrays"].to_torch_state_dict())
    x, y = rows(client, clients)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(20):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()
    metrics = MetricRecord({"num-examples": len(x), "client": client})
    content = RecordDict({"arrays": ArrayRecord(model.state_dict()), "metrics": metrics})
    return Message(content=content, reply_to=message)
