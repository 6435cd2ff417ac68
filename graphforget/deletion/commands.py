"""The commands of the deletion workflow. Thin: each opens a store, calls one function and prints what it returns.

Exit codes: 0 done, 1 failed verification, 2 bad input, 3 inconclusive.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from graphforget.deletion.output import (
    listed,
    print_plan,
    print_refusals,
    print_states,
    print_verdicts,
    received_row,
    say,
    show,
    tell,
    verdict_row,
    wide,
)
from graphforget.errors import GraphforgetError, InputError

if TYPE_CHECKING:
    from graphforget.deletion.receive import Received
    from graphforget.deletion.signature import Sign
    from graphforget.deletion.store import Store

app = typer.Typer()
EXITS = {"pass": 0, "fail": 1, "inconclusive": 3}

Root = Annotated[Path, typer.Argument(help="Folder of the store.")]
Requests = Annotated[str | None, typer.Argument(help="New requests: .csv, .jsonl, .parquet, or - for standard input.")]
KeyFile = Annotated[Path | None, typer.Option("--key-file", help="The controller's key; else GRAPHFORGET_KEY.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Delimiter = Annotated[str, typer.Option(help="Delimiter of a CSV.")]
Golds = Annotated[int | None, typer.Option(min=0, help="Models to retrain for the evidence; default: as affordable.")]
Signed = Annotated[Path | None, typer.Option("--sign", help="PEM of a private key that signs the receipts.")]
Operator = Annotated[str | None, typer.Option(help="Who runs it, for the receipt; default: the login name.")]


@contextmanager
def told(as_json: bool) -> Iterator[None]:
    """End with exit code 2 and one line where something is wrong with the input."""
    try:
        yield
    except (GraphforgetError, OSError) as error:
        words = str(error)
        if not isinstance(error, GraphforgetError):  # a path that the user named
            words = (
                f"{str(error.filename or 'a file')!r} cannot be used (got {error.strerror or error}); check the path"
            )
        if as_json:
            show({"error": words, "exit": 2})
        console = Console(stderr=True)
        console.print("[bold red]error:[/]", end=" ")
        console.print(words, highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(2) from error


@contextmanager
def opened(root: Path, key_file: Path | None, *, write: bool = True) -> Iterator[Store]:
    """Open a store, as its only writer unless told otherwise."""
    from graphforget.deletion.keys import load_key
    from graphforget.deletion.store import Store
    from graphforget.train import progress

    store = Store(root, load_key(key_file))
    try:
        if write:
            with store.writing(), progress():
                yield store
        else:
            yield store
    finally:
        store.close()


@app.command()
def init(
    store: Root,
    demo: Annotated[bool, typer.Option(help="Train and deploy the demo's GCN on digits.")] = False,
    config: Annotated[Path | None, typer.Option(help="JSON with fields of the deployment: policy, thresholds.")] = None,
    model: Annotated[str | None, typer.Option(help="package.module:factory of the model.")] = None,
    arg: Annotated[list[str] | None, typer.Option(help="NAME=VALUE for the factory; repeat.")] = None,
    weights: Annotated[Path | None, typer.Option(help=".safetensors, or a state_dict of torch.save.")] = None,
    recbole: Annotated[Path | None, typer.Option(help="A RecBole checkpoint instead of a factory and weights.")] = None,
    data: Annotated[str | None, typer.Option(help="Name, package.module:function, .csv, or RecBole's folder.")] = None,
    task: Annotated[str | None, typer.Option(help="link, node, recommend, or package.module:factory.")] = None,
    vocabulary: Annotated[str | None, typer.Option(help="External ids: .json or .parquet.")] = None,
    features: Annotated[str | None, typer.Option(help=".npy [N, F] for a .csv of edges.")] = None,
    labels: Annotated[str | None, typer.Option(help=".npy [N] for a .csv of edges.")] = None,
    data_seed: Annotated[int, typer.Option(help="Seed of the split that the model was trained with.")] = 0,
    key_file: KeyFile = None,
    make_key: Annotated[bool, typer.Option(help="Write a new key to --key-file first.")] = False,
    as_json: Json = False,
) -> None:
    """Make a store: the deployed model, its data and ids, and the policy."""
    with told(as_json):
        from graphforget.deletion.deployment import Deployment
        from graphforget.deletion.keys import load_key
        from graphforget.deletion.keys import make_key as write_key
        from graphforget.deletion.setup import deploy, deploy_demo
        from graphforget.deletion.sources import Source
        from graphforget.train import progress

        if make_key and key_file is None:
            raise InputError("--make-key needs a place for the key (got none); pass --key-file")
        key = write_key(key_file) if make_key and key_file is not None else load_key(key_file)
        with progress():
            if demo:
                made = deploy_demo(store, key, say=say)
            else:
                fields = _config(config)
                if recbole is not None:
                    fields |= {"factory": f"recbole:{recbole.absolute()}", "task": "recommend"}
                    if data is not None:
                        fields["factory_args"] = {"dataset_folder": str(Path(data).absolute())}
                fields |= {"factory": model} if model else {}
                fields |= {"factory_args": {**fields.get("factory_args", {}), **_pairs(arg)}} if arg else {}
                fields |= {"task": task} if task else {}
                if "factory" not in fields:
                    raise InputError("a store needs a model (got none); pass --model, --recbole or --demo")
                deployment = Deployment.parse(json.dumps(fields), str(config or "the command line"))
                source = None
                if data is not None and recbole is None:
                    source = Source(data, deployment.task, vocabulary, features, labels, seed=data_seed)
                made = deploy(store, deployment, weights, source, key)
        found = {"store": str(store), "version": made.head, "key": key.fingerprint, "task": made.deployment.task}
        made.close()
    show(found) if as_json else tell(f"made {store}: version {found['version']}, key {found['key']}")


@app.command()
def plan(
    store: Root,
    requests: Requests = None,
    methods: Annotated[list[str] | None, typer.Option(help="Price only this method; repeat.")] = None,
    budget: Annotated[float, typer.Option(help="Seconds for the short runs.", min=0)] = 120.0,
    delimiter: Delimiter = ",",
    key_file: KeyFile = None,
    as_json: Json = False,
) -> None:
    """Take requests in and say what they touch, which methods apply, and what each and a retrain would cost."""
    with told(as_json), opened(store, key_file) as it:
        from graphforget.deletion.plan import plan as make

        received = _receive(it, requests, delimiter)
        found = make(it, methods=methods, budget=budget, say=say)
    if as_json:
        show({**received_row(received), **found.model_dump()})
    else:
        print_refusals(received)
        print_plan(found)
    raise typer.Exit(_only_bad(received))


@app.command()
def run(
    store: Root,
    requests: Requests = None,
    method: Annotated[
        str | None, typer.Option(help="Catalog key or package.module:Class; default: the plan's.")
    ] = None,
    setting: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE of the method; repeat.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Requests a batch.")] = None,
    now: Annotated[bool, typer.Option("--now", help="Run a smaller batch too, before batch_days are over.")] = False,
    golds: Golds = None,
    verify: Annotated[bool, typer.Option(help="Verify each batch at once.")] = True,
    operator: Operator = None,
    sign: Signed = None,
    delimiter: Delimiter = ",",
    key_file: KeyFile = None,
    as_json: Json = False,
) -> None:
    """Work off the queue: unlearn, commit a version, verify, and write the receipt."""
    with told(as_json), opened(store, key_file) as it:
        from graphforget.deletion.service import serve

        signed = _signer(sign)
        received = _receive(it, requests, delimiter)
        done = serve(
            it,
            method=method,
            settings=_pairs(setting),
            batch_size=batch_size,
            now=now,
            golds=golds,
            verify=verify,
            operator=operator,
            sign=signed,
            say=say,
        )
        states = it.queue.counts()
    code = max((EXITS[one.outcome] for one in done.confirmed), default=0, key=_worse)
    code = code or (2 if done.refused or _only_bad(received) else 0)
    if as_json:
        batches = [vars(one) | {"drift": one.drift.model_dump()} for one in done.outcomes]
        verdicts = [verdict_row(one) for one in done.confirmed]
        show({**received_row(received), "batches": batches, "verdicts": verdicts, "states": states, "exit": code})
    else:
        print_refusals(received)
        for one in done.outcomes:
            tell(f"version {one.version}: {len(one.requests)} requests by {one.method} in {one.seconds:.2f} s")
        print_verdicts(done.confirmed)
        print_states(states)
    raise typer.Exit(code)


@app.command()
def verify(
    store: Root,
    version: Annotated[int | None, typer.Option(help="Default: every version that waits.")] = None,
    golds: Golds = None,
    operator: Operator = None,
    sign: Signed = None,
    key_file: KeyFile = None,
    as_json: Json = False,
) -> None:
    """Measure what waits for its verification, give the verdict and write the receipt."""
    with told(as_json), opened(store, key_file) as it:
        from graphforget.deletion.confirm import confirm, waiting
        from graphforget.deletion.plan import gold_price

        which, signed, price = waiting(it) if version is None else [version], _signer(sign), gold_price(it)
        done = [confirm(it, each, golds=golds, price=price, operator=operator, sign=signed, say=say) for each in which]
    code = max((EXITS[one.outcome] for one in done), default=0, key=_worse)
    if as_json:
        show({"verdicts": [verdict_row(one) for one in done], "exit": code})
    else:
        print_verdicts(done)
        if not done:
            tell("nothing waits for a verification")
    raise typer.Exit(code)


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


@app.command()
def rollback(
    store: Root,
    to: Annotated[int, typer.Option(help="The version to go back to.")],
    key_file: KeyFile = None,
    as_json: Json = False,
) -> None:
    """Serve an old version again; what later ones forgot is queued again."""
    with told(as_json), opened(store, key_file) as it:
        from graphforget.deletion.history import rollback as back

        found = back(it, to)
    if as_json:
        show(found._asdict())
    else:
        tell(f"version {found.version} has the files of version {found.restores}")
        tell(f"warning: {found.warning}")


@app.command()
def purge(
    store: Root,
    keep: Annotated[int, typer.Option(min=1, help="So many of the newest versions stay.")] = 1,
    also: Annotated[list[Path] | None, typer.Option(help="A file outside the store to destroy; repeat.")] = None,
    key_file: KeyFile = None,
    as_json: Json = False,
) -> None:
    """Destroy old versions, and the files that you name: first weights, optimiser states, caches."""
    with told(as_json), opened(store, key_file) as it:
        from graphforget.deletion.history import purge as destroy

        found = destroy(it, keep=keep, also=also or ())
    if as_json:
        show(found._asdict())
    else:
        gone = ", ".join(map(str, found.versions)) or "none"
        tell(f"destroyed versions: {gone}; left: {', '.join(map(str, found.left))}")
        for each in found.files:
            tell(f"destroyed {each}")


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


def _config(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{str(path)!r} must be a JSON file (got {error}); correct it") from error
    if not isinstance(found, dict):
        raise InputError(f"{str(path)!r} must hold one JSON object (got {type(found).__name__})")
    return found


def _pairs(given: list[str] | None) -> dict[str, Any]:
    """NAME=VALUE pairs; a value is read as JSON where it is some, else as text."""
    found: dict[str, Any] = {}
    for each in given or ():
        name, equals, value = each.partition("=")
        if not equals or not name:
            raise InputError(f"a setting is NAME=VALUE (got {each!r}); write both")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def _signer(private_key: Path | None) -> Sign | None:
    if private_key is None:
        return None
    from graphforget.deletion.signature import signer

    return signer(private_key)


def _receive(store: Store, requests: str | None, delimiter: str) -> Received | None:
    if requests is None:
        return None
    from graphforget.deletion.receive import receive

    return receive(store, requests, delimiter=delimiter)


def _only_bad(found: Received | None) -> int:
    """2 where a file held nothing but bad rows."""
    return 2 if found is not None and found.refused and not found.taken and not found.repeated else 0


def _worse(code: int) -> int:
    return {0: 0, 3: 1, 1: 2}[code]
