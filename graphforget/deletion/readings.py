"""The commands of the deletion workflow that change nothing: they read a store, a receipt or the environment.

Exit codes: 0 done, 1 something is wrong with what was read, 2 bad input.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphforget.deletion.door import Json, KeyFile, Root, opened, told
from graphforget.deletion.output import (
    listed,
    print_states,
    show,
    tell,
    wide,
)

if TYPE_CHECKING:
    pass

app = typer.Typer()


@app.command()
def report(
    store: Root,
    version: Annotated[int | None, typer.Option(help="Default: the newest with a receipt.")] = None,
    out: Annotated[Path | None, typer.Option(help="Default: beside the receipt.")] = None,
    card: Annotated[Path | None, typer.Option(help="A model card to put the unlearning history into.")] = None,
    log: Annotated[list[str] | None, typer.Option(help="NAME:TARGET, tensorboard, mlflow or wandb; repeat.")] = None,
    key_file: KeyFile = None,
    as_json: Json = False,
) -> None:
    """Write report.html: one file that opens offline, a page for the privacy officer and the evidence."""
    with told(as_json), opened(store, key_file, write=False) as it:
        from graphforget.deletion.file_report import tell_others, write_report
        from graphforget.deletion.loggers import logger

        trackers = [logger(each) for each in log or ()]
        path = write_report(it, version, out)
        others = tell_others(it, version, path, card=card, trackers=trackers)
    show({"report": str(path), **others}) if as_json else tell(f"wrote {path}")


@app.command("verify-receipt")
def verify_receipt(
    receipt: Annotated[Path, typer.Argument(help="The receipt.")],
    store: Annotated[Path | None, typer.Option(help="Compare with the files of this store as well.")] = None,
    public_key: Annotated[Path | None, typer.Option(help="PEM: check the signature beside it as well.")] = None,
    key_file: KeyFile = None,
    as_json: Json = False,
) -> None:
    """Check a receipt offline: one changed byte fails. With the key, a receipt made by somebody else fails as well."""
    with told(as_json):
        import os

        from graphforget.deletion.keys import VARIABLE, load_key
        from graphforget.deletion.receipt import verify_receipt as check

        key = load_key(key_file) if key_file is not None or os.environ.get(VARIABLE) else None
        from graphforget.deletion.signature import verify_signature

        wrong = check(receipt, key=key, root=store)
        wrong += verify_signature(receipt, public_key) if public_key else []
    also = {"seal": key, "store": store, "signature": public_key}
    checked = ["bytes", "digest", "parent", *(name for name, given in also.items() if given)]
    if as_json:
        show({"receipt": str(receipt), "checked": checked, "problems": wrong, "exit": int(bool(wrong))})
    elif wrong:
        for each in wrong:
            tell(f"wrong: {each}")
    else:
        tell(f"{receipt}: unchanged ({', '.join(checked)} checked)")
    raise typer.Exit(int(bool(wrong)))


@app.command("check-train")
def check_train(
    store: Root,
    data: Annotated[str, typer.Argument(help="The next training data: as for init --data.")],
    vocabulary: Annotated[str | None, typer.Option(help="Its external ids: .json or .parquet.")] = None,
    key_file: KeyFile = None,
    as_json: Json = False,
) -> None:
    """Find deleted elements that come back in the next training data; exit code 1 if there are any."""
    with told(as_json), opened(store, key_file, write=False) as it:
        from graphforget.deletion.sources import Source, load
        from graphforget.deletion.suppress import check_train as check

        task = it.deployment.task if ":" not in it.deployment.task else "link"
        splits, names = load(Source(data, task, vocabulary))
        found = check(it.queue, it.key, splits, names, it.vocabulary())
    if as_json:
        show({"returned": [each._asdict() for each in found], "exit": int(bool(found))})
    elif not found:
        tell("nothing that was deleted is in this data")
    else:
        listed([f"back: the {each.kind} of request {each.request_id}, in {each.rows} rows" for each in found])
    raise typer.Exit(int(bool(found)))


@app.command()
def status(
    store: Root,
    out: Annotated[Path | None, typer.Option(help="Write the replies as CSV (DROP's codes).")] = None,
    suppression: Annotated[Path | None, typer.Option(help="Write the suppression list as JSON lines.")] = None,
    key_file: KeyFile = None,
    as_json: Json = False,
) -> None:
    """Say where the requests stand, and write the replies and the suppression list."""
    with told(as_json), opened(store, key_file, write=False) as it:
        from graphforget.deletion.files import write
        from graphforget.deletion.suppress import replies, suppression_lines

        states, wrong = it.queue.counts(), it.problems()
        if out is not None:
            write(out, replies(it.queue).encode())
        if suppression is not None:
            write(suppression, suppression_lines(it.queue))
        found = {"head": it.head, "versions": it.versions(), "states": states, "problems": wrong}
    if as_json:
        show(found)
    else:
        tell(f"version {found['head']} is served; versions: {', '.join(map(str, it.versions()))}")
        print_states(states)
        for each in wrong:
            tell(f"wrong: {each}")
    raise typer.Exit(int(bool(wrong)))


@app.command()
def export(
    store: Root,
    out: Annotated[Path, typer.Option(help="A new folder; of a RecBole deployment the new .pth.")],
    onnx: Annotated[bool, typer.Option("--onnx", help="Of a GNN: ONNX beside the torch.export program.")] = False,
    key_file: KeyFile = None,
    as_json: Json = False,
) -> None:
    """Write the head for its servers: weights, data without the forgotten, embedding tables, program or checkpoint."""
    with told(as_json), opened(store, key_file, write=False) as it:
        from graphforget.deletion.hand_over import hand_over

        files = [str(path) for path in hand_over(it, out, onnx=onnx)]
    if as_json:
        show({"files": files})
    else:
        for each in files:
            tell(f"wrote {each}")


@app.command()
def doctor(as_json: Json = False) -> None:
    """Name what is installed and what is broken in this environment, with the remedy; exit code 1 if something is."""
    from graphforget.deletion.doctor import diagnose, table

    found = diagnose()
    if as_json:
        show(found.model_dump())
    else:
        wide().print(table(found))
    raise typer.Exit(int(not found.healthy))
