"""Whether what follows the outcome of a run can be done, as far as its text tells."""

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from types import MappingProxyType
from typing import Any

import msgspec

from shared.outbound.addresses import AddressPolicy
from shared.pipeline.references import MEMBERS, PARAMS, SECRETS, Known, faults_of_known
from shared.pipeline.texts import Budget, Text, templates_in
from shared.tools.catalogue import CATALOGUE
from shared.tools.open_input import check_input
from shared.vocabulary.decoding import FAULTS_TOLD, Hints, invalid
from shared.vocabulary.faults import FieldFault, Invalid
from shared.vocabulary.follow_up import FollowUp

TOOLS: Mapping[str, str] = MappingProxyType({"publish": "event.publish", "webhook": "http.request"})
ROOTS = ("run", "task", "event", PARAMS, SECRETS)
# At its end more is known of a run than while it lasts.
OUTCOME = ("status", "success", "output", "error")
MEMBERS_AT_END: Mapping[str, tuple[str, ...]] = {**MEMBERS, "run": MEMBERS["run"] + OUTCOME}


def check_follow_up(
    follow_up: FollowUp, params: Mapping[str, Any], policy: AddressPolicy, field: str, budget: Budget
) -> None:
    """`budget` is shared with what else the request has compiled. Raises Invalid with each fault and its path."""
    given = msgspec.to_builtins(follow_up)
    if len(given) != 1:
        message = "Give exactly one of publish and webhook."
        raise invalid([FieldFault(field, message, "required" if not given else "invalid_choice")])
    found = chain(_faults_of_act(given, policy, field), _faults_of_texts(given, params, field, budget))
    faults = [*islice(found, FAULTS_TOLD)]
    if faults:
        raise invalid(faults)


def _faults_of_act(given: Mapping[str, Any], policy: AddressPolicy, field: str) -> Iterator[FieldFault]:
    for act, arguments in given.items():
        try:
            check_input(CATALOGUE[TOOLS[act]], arguments, policy, f"{field}.{act}")
        except Invalid as refusal:
            yield from refusal.validation_errors


def _faults_of_texts(
    given: Mapping[str, Any], params: Mapping[str, Any], field: str, budget: Budget
) -> Iterator[FieldFault]:
    known = Known(ROOTS, {**MEMBERS_AT_END, PARAMS: params.keys()}, Hints())
    for text in budget.within(templates_in(given, field), field):
        if isinstance(text, Text):
            yield from faults_of_known(text, known)
        else:
            yield text
