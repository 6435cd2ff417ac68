"""Is the deletion workflow safe: killed at random moments, fed with malformed rows, tampered with, and purged.

    python -m benchmarks.reliability --kills 200 --rows 1000 --json

prints one JSON object. A closed-form ridge is deployed (:mod:`benchmarks.ridge`), whose requests take a fraction of a
second, so that what is exercised is the store. Each kill is a SIGKILL of a forked process that takes requests in and
runs them, at a moment drawn at random over the time that such a run takes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks import ridge
from graphforget.deletion.deployment import Deployment, DriftBudget
from graphforget.deletion.file_report import write_report
from graphforget.deletion.files import file_digest
from graphforget.deletion.history import purge
from graphforget.deletion.keys import Key
from graphforget.deletion.receipt import verify_receipt
from graphforget.deletion.receive import receive
from graphforget.deletion.records import IN_MODEL
from graphforget.deletion.service import serve
from graphforget.deletion.store import Store, create
from graphforget.deletion.suppress import replies, suppression_lines
from graphforget.deletion.vocabulary import Vocabulary

KEY = Key(b"the key of a benchmark, of no one")
DEPLOYMENT = Deployment(
    factory="benchmarks.ridge:Ridge",
    task="benchmarks.ridge:Regression",
    method="benchmarks.ridge:Downdate",
    golds=0,
    drift=DriftBudget(requests=10**6),
)
A_RUN = 3  # requests


def subject(row: int) -> str:
    """A name that stands nowhere else."""
    return f"subject-{row:06d}@nowhere.example"


def deployed(root: Path) -> Store:
    """A store of the ridge."""
    splits = ridge.data()
    model = ridge.Regression().fit(ridge.Ridge(), splits.train, splits.val, seed=0)
    names = Vocabulary({"node": tuple(subject(row) for row in range(ridge.ROWS))})
    return create(root, DEPLOYMENT, model, splits, names, KEY)


def write_requests(path: Path, rows: Sequence[int]) -> Path:
    """A request file that names some rows."""
    lines = [f"q{row:06d},node,{subject(row)}" for row in rows]
    path.write_text("request_id,subject_kind,subject_id\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def trained(count: int) -> list[int]:
    """The first rows that the model was trained on."""
    return [row for row in range(ridge.ROWS) if row % 10 < 8][:count]


def work(root: Path, file: Path) -> None:
    """What a killed process was doing: take requests in, run them, verify them."""
    store = Store(root, KEY)
    with store.writing():
        receive(store, file)
        serve(store)
    store.close()


def kills(folder: Path, count: int, rng: random.Random) -> dict[str, int]:
    """Kill runs at random moments; look at what they leave, then finish the job.

    Returns:
        kills that hit a running process, half-written versions seen, requests lost.
    """
    root, file = folder / "store", folder / "requests.csv"
    deployed(root).close()
    rows = iter(trained(A_RUN * (2 * count + 2)))
    work(root, write_requests(file, [next(rows) for _ in range(A_RUN)]))  # warm: everything is imported and compiled
    start = time.perf_counter()
    work(root, write_requests(file, [next(rows) for _ in range(A_RUN)]))
    length = time.perf_counter() - start
    hit = half = lost = 0
    while hit < count:
        asked = [next(rows) for _ in range(A_RUN)] if file_done(root, file) else None
        if asked is not None:
            write_requests(file, asked)
        child = os.fork()
        if not child:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            work(root, file)
            os._exit(0)
        time.sleep(rng.uniform(0, 1.1 * length))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            continue
        hit += 1
        store = Store(root, KEY)
        half += sum(not whole(store, version) for version in store.versions())
        known = {entry.request.request_id for entry in store.queue.entries()}
        store.close()
        work(root, file)  # the next run finishes the job
        lost += unfinished(root, file, known)
        if hit % 20 == 0:
            with Store(root, KEY).writing():
                pass
            tidy(root)
    return {"kills": hit, "half_written": half, "lost": lost}


def whole(store: Store, version: int) -> bool:
    """Is a version that can be seen what its manifest says."""
    folder = store.folder(version)
    if not (folder / "manifest.json").is_file():
        return False
    return all(file_digest(folder / name) == expected for name, expected in store.manifest(version).files.items())


def ids_of(file: Path) -> set[str]:
    """The request ids of a file."""
    return {line.split(",")[0] for line in file.read_text(encoding="utf-8").splitlines()[1:]}


def file_done(root: Path, file: Path) -> bool:
    """Are all requests of the file done: only then a new one is written."""
    return not unfinished(root, file, set())


def unfinished(root: Path, file: Path, known: set[str]) -> int:
    """How many requests, of the file or known before the kill, are not deleted."""
    store = Store(root, KEY)
    done = {entry.request.request_id for entry in store.queue.entries(*IN_MODEL)}
    store.close()
    return len((ids_of(file) | known) - done)


def tidy(root: Path) -> None:
    """Keep the folder small."""
    store = Store(root, KEY)
    with store.writing():
        purge(store, keep=2)
    store.close()


def malformed(count: int, rng: random.Random) -> list[str]:
    """Rows that are wrong in ways that files are wrong."""
    makers = [
        lambda n: f",node,{subject(n)}",
        lambda n: f"b{n},person,{subject(n)}",
        lambda n: f"b{n},node,",
        lambda n: f"b{n},node",
        lambda n: f"b{n},node,{subject(n)},more",
        lambda n: f'b{n},node,"{subject(n)}',
        lambda n: f"=1+{n},node,{subject(n)}",
        lambda n: f"../{n},node,{subject(n)}",
        lambda n: f"b{n},edge,{subject(n)}",
        lambda n: f"b{n},node,bell\x07{n}",
        lambda n: f"b{n},node," + "x" * 2000,
        lambda n: f"b{n};node;{subject(n)}",
        lambda n: f"b{n},<script>,{subject(n)}",
        lambda n: f"b{n},node,hmac:{n:064x}",
        lambda n: "\x00" * 3 + str(n),
    ]
    return [rng.choice(makers)(n) for n in range(count)]


def bad_rows(folder: Path, count: int, rng: random.Random) -> dict[str, int]:
    """Feed the command with malformed rows only."""
    root, file = folder / "store", folder / "bad.csv"
    deployed(root).close()
    before = {path.name: file_digest(path) for path in (root / "versions").rglob("*") if path.is_file()}
    rows = malformed(count, rng)
    file.write_bytes(b"request_id,subject_kind,subject_id\r\n" + "\r\n".join(rows).encode() + b"\r\n")
    command = [sys.executable, "-c", "from graphforget.cli import app; app()", "run", str(root), str(file), "--json"]
    env = os.environ | {"GRAPHFORGET_KEY": KEY.secret.decode()}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    refused = json.loads(done.stdout)["refused"]
    named = {each["line"] for each in refused if each["reason"]}
    after = {path.name: file_digest(path) for path in (root / "versions").rglob("*") if path.is_file()}
    right = len(named & set(range(2, count + 2))) if done.returncode == 2 and after == before else 0
    return {"bad_rows": count, "refused": right, "tracebacks": done.stderr.count("Traceback")}


def sequential(folder: Path, count: int = 50) -> float:
    """Largest difference of any weight between requests one by one and all in one batch."""
    found = []
    for name, size in (("one", 1), ("all", count)):
        store = deployed(folder / name)
        with store.writing():
            receive(store, write_requests(folder / "requests.csv", trained(count)))
            serve(store, batch_size=size, verify=False)
        found.append(store.model().state_dict())
        store.close()
    return max(float((value - found[1][name]).abs().max()) for name, value in found[0].items())


def tampering(root: Path, count: int, rng: random.Random) -> dict[str, int]:
    """Change one byte of a file of the head at a time."""
    store = Store(root, KEY)
    number = f"{store.head:06d}"
    receipt = root / "receipts" / f"{number}.json"
    files = [receipt, *(store.folder(store.head) / name for name in ("manifest.json", "model.safetensors"))]
    files += [store.folder(store.head) / "data.safetensors", root / "chain.jsonl"]
    detected = 0
    for turn in range(count):
        path = files[turn % len(files)]
        content = path.read_bytes()
        at = rng.randrange(len(content))
        path.write_bytes(content[:at] + bytes([content[at] ^ rng.randrange(1, 256)]) + content[at + 1 :])
        detected += bool(verify_receipt(receipt, key=KEY, root=root) or store.problems())
        path.write_bytes(content)
    sound = not verify_receipt(receipt, key=KEY, root=root) and not store.problems()
    store.close()
    return {"tampered": count, "detected": detected if sound else 0}


def raw_ids(root: Path) -> int:
    """Files of the store, its report, replies and lists included, that hold the id of a deleted subject."""
    store = Store(root, KEY)
    write_report(store)
    (root / "replies.csv").write_text(replies(store.queue), encoding="utf-8")
    (root / "suppressed.jsonl").write_bytes(suppression_lines(store.queue))
    gone = [subject(int(entry.request.request_id[1:])).encode() for entry in store.queue.entries(*IN_MODEL)]
    store.close()
    contents = [path.read_bytes() for path in root.rglob("*") if path.is_file()]
    return sum(any(name in content for name in gone) for content in contents)


def purged_left(root: Path) -> int:
    """Files of old versions that a purge leaves."""
    store = Store(root, KEY)
    old = store.versions()[:-1]
    hashes = {file_digest(path) for version in old for path in store.folder(version).iterdir()}
    hashes -= {file_digest(path) for path in store.folder(store.head).iterdir()}
    with store.writing():
        purge(store)
    store.close()
    left = [path for version in old for path in [store.folder(version)] if path.exists()]
    return len(left) + sum(file_digest(path) in hashes for path in root.rglob("*") if path.is_file())


@contextmanager
def folder_of(base: Path, name: str) -> Iterator[Path]:
    """A new folder that goes again."""
    path = base / name
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path)


def measure(kill_count: int, rows: int, seed: int) -> dict[str, float]:
    """Everything, in one object."""
    rng = random.Random(seed)
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary)
        with folder_of(base, "kills") as folder:
            found |= kills(folder, kill_count, rng)
            found |= tampering(folder / "store", 100, rng)
            found["raw_ids"] = raw_ids(folder / "store")
            found["purged_left"] = purged_left(folder / "store")
        with folder_of(base, "rows") as folder:
            found |= bad_rows(folder, rows, rng)
        with folder_of(base, "sequence") as folder:
            found["sequential_gap"] = sequential(folder)
    order = "kills half_written lost bad_rows refused tracebacks sequential_gap tampered detected raw_ids purged_left"
    return {name: found[name] for name in order.split()}


def main() -> None:
    """Read the flags and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--rows", type=int, default=1000, help="malformed rows")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    flags = parser.parse_args()
    found = measure(flags.kills, flags.rows, flags.seed)
    print(json.dumps(found) if flags.json else "\n".join(f"{name}: {value}" for name, value in found.items()))


if __name__ == "__main__":
    main()
