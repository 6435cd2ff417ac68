"""The commands that change a store of the deletion workflow. Each opens it, calls one function and prints the result.

Exit codes: 0 done, 1 failed verification, 2 bad input, 3 inconclusive.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphforget.deletion.door import Delimiter, Golds, Json, KeyFile, Operator, Requests, Root, Signed, opened, told
from graphforget.deletion.output import (
    print_plan,
    print_refusals,
    print_states,
    print_verdicts,
    received_row,
    say,
    show,
    tell,
    verdict_row,
)
from graphforget.errors import InputError

if TYPE_CHECKING:
    from graphforget.deletion.receive import Received
    from graphforget.deletion.signature import Sign
    from graphforget.deletion.store import Store

app = typer.Typer()
EXITS = {"pass": 0, "fail": 1, "inconclusive": 3}


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
    utility: Annotated[bool, typer.Option(help="Estimate what is lost in utility, in a quarter more seconds.")] = True,
    delimiter: Delimiter = ",",
    key_file: KeyFile = None,
    as_json: Json = False,
) -> None:
    """Take requests in; say what they touch, which methods apply, what each costs, and what is lost in utility."""
    with told(as_json), opened(store, key_file) as it:
        from graphforget.deletion.plan import plan as make

        received = _receive(it, requests, delimiter)
        found = make(it, methods=methods, budget=budget, utility=utility, say=say)
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
