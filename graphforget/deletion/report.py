"""``report.html``: a deletion for two readers, in one file that opens offline.

The first page is for the privacy officer, in plain words: what was asked, what was done, the verdict in one sentence,
what is not covered and what the report does not show. The rest is for the engineer: every check against its limits, the
beliefs before, after and under gold, the distance to gold beside the noise floor, the cost beside retraining, and the
versions of the model. Needs the extra ``report`` (jinja2).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from graphforget import page
from graphforget.deletion import pictures
from graphforget.deletion.dossier import CostLine, Dossier
from graphforget.deletion.samples import FEWEST_SHOWN, Model
from graphforget.deletion.verdict import Check
from graphforget.deletion.verify import NO_GOLD, ONE_GOLD, Verification
from graphforget.errors import missing_extra

SHOWN_REQUESTS = 50
MARKS = {"pass": "✓ inside", "inconclusive": "? uncertain", "fail": "✗ outside"}
STATUS = {
    "deleted": "deleted",
    "deleted_unverified": "deleted, effect not established",
    "not_found": "not found",
    "rejected": "refused: could not be read",
    "exempt": "exempt",
    "exempted": "exempt",
    "opted_out": "opted out",
    "failed": "did not pass verification",
    "pending_verification": "deleted, being verified",
}
HEADLINE = {
    "pass": "The deletion passed.",
    "inconclusive": "The deletion was carried out; its effect could not be established.",
    "fail": "The deletion did not pass.",
    "unverified": "The deletion has not been verified.",
}
SENTENCE = {
    "pass": "On every measure that was declared beforehand the model now behaves like models that were trained without "
    "these data.",
    "inconclusive": "The data were taken out and the model was changed, but the measurements do not suffice to say "
    "that it behaves like a model trained without them.",
    "fail": "On at least one measure that was declared beforehand the model still differs from models trained without "
    "these data. The requests stay open; training anew is the safe way.",
    "unverified": "Nothing has been measured yet.",
}
NO_GOLD_FAIL = (
    "At least one measure lies outside what was declared beforehand. The requests stay open; training anew is the safe "
    "way."
)
CURVES: tuple[tuple[Model, str], ...] = (
    ("before", "before the deletion"),
    ("after", "after the deletion"),
    ("gold", "gold: retrained without the data"),
)
ROLES = {"original": "before", "gold": "gold", "gold_other_seed": "noise floor", "unlearned": "after"}


def render(dossier: Dossier) -> str:
    """Return the page.

    Args:
        dossier: of one deletion.

    Raises:
        MissingExtra: jinja2 is not installed.

    Example:
        >>> page = render(Dossier(model="m", created_at="2026-01-01", requests=(), method="", out_of_scope=["backups"]))
        >>> "has not been verified" in page, "<script" in page
        (True, False)
    """
    try:
        from markupsafe import Markup
    except ImportError as error:
        raise missing_extra("jinja2", "report") from error
    checked = dossier.verification
    tone = checked.verdict.outcome if checked else dossier.outcome or "unverified"
    unmeasured = " ".join(_sentence(each) for each in dossier.reasons) or SENTENCE["unverified"]
    sentence = SENTENCE[tone] if checked else unmeasured
    shown = [(name, pictures.beliefs(checked.pictures, model, name)) for model, name in CURVES] if checked else []
    rows = checked.rows if checked else ()
    costs = [(each.name, each.predicted_seconds, each.seconds) for each in dossier.costs]
    return page.render(
        files("graphforget.deletion").joinpath("report.html.jinja").read_text(encoding="utf-8"),
        d=dossier,
        v=checked,
        tone=tone,
        headline=HEADLINE[tone],
        sentence=NO_GOLD_FAIL if checked and tone == "fail" and not checked.golds else sentence,
        why=_why(checked) if checked else [],
        asked=_asked(dossier),
        requests=dossier.requests[:SHOWN_REQUESTS],
        more=max(0, len(dossier.requests) - SHOWN_REQUESTS),
        done=_done(dossier),
        limits=_limits(checked),
        words_of=_status,
        marks=MARKS,
        versus=_versus,
        figure=_figure,
        bar=lambda check: Markup(pictures.check_bar(check)),
        curves=[(name, Markup(svg)) for name, svg in shown if svg],
        few=_few(checked) if checked else "",
        apart=Markup(pictures.distances(rows, "Distance to gold, in noise floors")),
        spent=Markup(pictures.costs(costs, "Seconds of each method")),
        columns=[ROLES[role] for role in _roles(rows)],
        table=_table(rows),
        facts=_facts(dossier),
    )


def _status(status: str) -> str:
    return STATUS.get(status, status.replace("_", " "))


def _why(checked: Verification) -> list[str]:
    """The reasons for a reader who wants no figures; nothing for a pass."""
    verdict = checked.verdict
    if verdict.outcome == "pass":
        return []
    if verdict.outcome == "fail":
        return list(dict.fromkeys(_sentence(each.reason) for each in verdict.checks if each.outcome == "fail"))
    found = [_sentence(note) for note in verdict.reasons if note in (NO_GOLD, ONE_GOLD)]
    needed = checked.thresholds.fewest_subjects
    if checked.subjects < needed:
        found.append(
            f"The batch holds {_count(checked.subjects, 'subject')}; at least {needed} were declared to be needed for "
            "a verdict. With few requests this is the normal answer."
        )
    else:
        open_ = sum(each.outcome == "inconclusive" for each in verdict.checks)
        found += [f"{open_} of {len(verdict.checks)} measures are too uncertain to tell."] if open_ else []
    return found


def _asked(dossier: Dossier) -> str:
    """How many requests there were and what became of them."""
    if not dossier.requests:
        return "No request is on record."
    dates = sorted(each.received_at[:10] for each in dossier.requests if each.received_at)
    when = f", received {dates[0]}" + (f" to {dates[-1]}" if dates[-1] != dates[0] else "") if dates else ""
    counts = Counter(_status(each.status) for each in dossier.requests)
    became = ", ".join(f"{count} {words}" for words, count in counts.most_common())
    return f"{_count(len(dossier.requests), 'request')}{when}: {became}."


def _done(dossier: Dossier) -> list[str]:
    if not dossier.method:
        return ["Nothing was changed in the model."]
    chosen = next((each for each in dossier.costs if each.chosen), None)
    anew = next((each for each in dossier.costs if each.name == "retrain"), None)
    if dossier.method == "retrain":
        found = ["The model was trained anew, from scratch, without these data."]
    else:
        changed = (
            "The model in use was changed so that it behaves as if it had been trained without these data (method: "
            f"{dossier.method}), and the data were taken out of what it may look at. It was not trained anew."
        )
        found = [changed]
    if chosen and chosen.seconds is not None:
        found.append(f"This took {pictures.short_seconds(chosen.seconds)}{_beside(anew, dossier.method)}.")
    if dossier.verification and (golds := dossier.verification.golds):
        were = "was" if golds == 1 else "were"
        found.append(f"For comparison {_count(golds, 'model')} {were} trained from the start without the data.")
    return found


def _beside(anew: CostLine | None, method: str) -> str:
    seconds = (anew.seconds or anew.predicted_seconds) if anew and method != "retrain" else None
    return f"; training anew takes about {pictures.short_seconds(seconds)}" if seconds else ""


def _limits(checked: Verification | None) -> list[str]:
    """What a reader must not take the report for."""
    attacks = (
        "How the model withstands attacks that were not tried. Those that were see the model's answers, before and "
        "after the change; they hold neither its weights nor models of their own."
    )
    found = [
        "That nothing of the data can be learned from the model: it records what was done and what was measured.",
        attacks,
        "Anything about copies, backups or other models; see above.",
    ]
    if checked and not checked.golds:
        found.append("How a model trained without the data would behave: none was trained.")
    return found


def _few(checked: Verification) -> str:
    """Which parts are not drawn."""
    small = [name for part, name in pictures.PARTS.items() if checked.elements[part] < FEWEST_SHOWN]
    return f"Not drawn, for fewer than {FEWEST_SHOWN} elements: {', '.join(small)}." if small else ""


def _versus(check: Check) -> str:
    """The unit, what is subtracted, and the limits."""
    limits = " to ".join(f"{each:.3g}" for each in (check.lowest, check.highest) if each is not None)
    if check.unit == "noise floors" or check.name in ("far_share", "change"):
        return f"{check.unit}; limit {limits}"
    less = {"unseen": "chance", "original": "the original's"}.get(check.reference, "gold's")
    return f"{check.unit}, less {less}; limit {limits}"


def _figure(check: Check) -> str:
    if check.value is None:
        return "-"
    value = _short(check.value)
    return (
        value if check.low is None or check.high is None else f"{value} ({_short(check.low)} to {_short(check.high)})"
    )


def _short(value: float) -> str:
    size = abs(value)
    return (
        f"{value:.0f}"
        if size >= 100
        else f"{value:.1f}"
        if size >= 10
        else f"{value:.2f}"
        if size >= 1
        else f"{value:.3f}"
    )


def _roles(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    present = {row["role"] for row in rows}
    return [role for role in ROLES if role in present]


def _table(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, list[str]]]:
    """(part, metric, a cell a role) of every figure."""
    value = {(row["part"], row["metric"], row["role"]): row["value"] for row in rows}
    roles, found = _roles(rows), []
    for part, metric in dict.fromkeys((row["part"], row["metric"]) for row in rows):
        cells = [value.get((part, metric, role)) for role in roles]
        found.append((part, metric, ["-" if each is None else f"{each:.4g}" for each in cells]))
    return found


def _facts(dossier: Dossier) -> list[tuple[str, dict[str, Any]]]:
    declared = dossier.verification.thresholds.model_dump() if dossier.verification else {}
    return [
        ("Limits as declared", declared),
        ("Parameters of the method", dossier.parameters),
        ("SHA-256 of inputs and outputs", dossier.hashes),
        ("Environment", dossier.environment),
    ]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + ("" if words.endswith(".") else ".")
