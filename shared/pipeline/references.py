"""What an expression of a step may speak of: the parameters, the steps before it, and what is known of the run."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from heapq import nsmallest
from types import MappingProxyType
from typing import TypeAlias

import msgspec

from shared.pipeline.placing import CODE, Placed, shown
from shared.pipeline.texts import Text
from shared.tools.catalogue import CATALOGUE
from shared.vocabulary.decoding import Hints
from shared.vocabulary.faults import FieldFault

PARAMS, STEPS, SECRETS = "params", "steps", "secrets"
ROOTS = (PARAMS, STEPS, "event", "run", "task", "previous", SECRETS)
OF_ITEM = ("item", "index")
MEMBERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "run": ("id", "scheduled_for", "attempt", "source", "task_id"),
        "task": ("id", "title", "tags", "created_by"),
    }
)
LISTED = 12

Owners: TypeAlias = Mapping[str, Placed]


class Known(msgspec.Struct, frozen=True):
    """The names that texts may use, and the members of those whose members are known."""

    roots: tuple[str, ...]
    members: Mapping[str, Collection[str]]
    hints: Hints


def faults_of_known(text: Text, known: Known) -> Iterator[FieldFault]:
    """Names and members that nothing will ever have."""
    for name in sorted(text.names - {*known.roots}):
        yield _unknown_name(text, name, known)
    for root in sorted(text.names & known.members.keys()):
        members = known.members[root]
        for member in sorted(each for each in text.members(root) or () if each not in members):
            yield _unknown_member(text, root, member, members, known.hints)
    if SECRETS in text.names & {*known.roots} and text.members(SECRETS) is None:
        yield _fault(text, "Name each secret that is needed, such as secrets.api_key: they are never given as a whole.")


def roots_in(step: Placed, text: Text) -> tuple[str, ...]:
    """`foreach` itself is computed before there is an item."""
    has_item = step.entry.get("foreach") is not None and text.is_per_item
    return ROOTS + OF_ITEM if has_item else ROOTS


def faults_of_steps(
    step: Placed, text: Text, owners: Owners, uses: Mapping[str, Collection[str]], hints: Hints
) -> Iterator[FieldFault]:
    """`owners`: which step has a name. `uses`: the names that the step at a field speaks of."""
    for name in sorted(text.members(STEPS) or ()):
        owner = owners.get(name)
        if owner is None:
            earlier = [each for each, other in owners.items() if other.group < step.group]
            yield _unknown_member(text, STEPS, name, earlier, hints)
        elif owner.field == step.field:
            yield _fault(text, f"steps.{name} is this step itself: it has no result yet.")
        elif owner.group >= step.group:
            yield _fault(text, _not_yet(step, name, owner, owners, uses))


def faults_of_secrets(step: Placed, text: Text) -> Iterator[FieldFault]:
    """What most tools are given is stored, and read by others."""
    spec = CATALOGUE.get(step.text("uses") or "")
    if SECRETS in text.names and spec is not None and not spec.takes_secrets:
        takers = ", ".join(name for name, each in CATALOGUE.items() if each.takes_secrets)
        yield _fault(text, f"Secrets are given to {takers} only: what {spec.name} is given is stored.")


def owners_of(steps: Sequence[Placed]) -> dict[str, Placed]:
    found: dict[str, Placed] = {}
    for step in steps:
        for name in (step.text("id"), step.text("save_as")):
            if name is not None:
                found.setdefault(name, step)
    return found


def _not_yet(step: Placed, name: str, owner: Placed, owners: Owners, uses: Mapping[str, Collection[str]]) -> str:
    if _leads_to(owner, step, owners, uses):
        return f"steps.{name} needs the result of this step, and this one needs its: the two wait in a cycle."
    if owner.group == step.group:
        return f"steps.{name} runs at the same time as this step, in the same group: put it into an earlier one."
    return f"steps.{name} comes later: a step can use the results of those before it only."


def _leads_to(start: Placed, end: Placed, owners: Owners, uses: Mapping[str, Collection[str]]) -> bool:
    """Whether `start` needs a result of `end`, directly or through others."""
    waiting, seen = [start], {start.field}
    while waiting:
        for name in uses.get(waiting.pop().field, ()):
            owner = owners.get(name)
            if owner is None or owner.field in seen:
                continue
            if owner.field == end.field:
                return True
            seen.add(owner.field)
            waiting.append(owner)
    return False


def _unknown_name(text: Text, name: str, known: Known) -> FieldFault:
    if name in OF_ITEM:
        message = f"{name} is known inside the with of a step that has a foreach."
        return _fault(text, message)
    message = f"There is no name {shown(name)} here; known ones are {', '.join(known.roots)}."
    return _fault(text, message, known.hints.close_match(name, known.roots))


def _unknown_member(text: Text, root: str, member: str, known: Collection[str], hints: Hints) -> FieldFault:
    listed = ", ".join(shown(each) for each in nsmallest(LISTED, known)) or "none"
    what = {PARAMS: "parameters are", STEPS: "earlier steps are"}.get(root, "members are")
    message = f"There is no {root}.{shown(member)}; known {what}: {listed}."
    near = hints.close_match(member, known)
    return _fault(text, message, near and f"{root}.{near}")


def _fault(text: Text, message: str, suggestion: str | None = None) -> FieldFault:
    return FieldFault(text.field, message, CODE, suggestion=suggestion)
