"""Checks the input of a tool while parts of it are still templates."""

from collections.abc import Iterator, Mapping
from itertools import islice
from types import UnionType
from typing import Annotated, Any, TypeAlias, Union, get_args, get_origin

import msgspec

from shared.outbound.addresses import AddressPolicy
from shared.outbound.headers import check_headers
from shared.outbound.urls import check_url, check_url_beginning
from shared.tools.base import TEMPLATE_MARK, ToolSpec, is_open
from shared.vocabulary.decoding import FAULTS_TOLD, decode, invalid
from shared.vocabulary.faults import FieldFault, Invalid

# A class, or what annotations are made of, for which `typing` has no name.
Form: TypeAlias = Any

# What a text with an expression inside it, which stays a text, is tried as: it has no length and no form yet.
SOME_TEXT = "text"


def check_input(spec: ToolSpec, arguments: Mapping[str, Any], policy: AddressPolicy, field: str) -> None:
    """`field` is the path of `arguments` in the request. Raises `Invalid` with every fault that no value of the open
    parts can mend: first those of form, each with its path, then what the tool's own check finds."""
    faults = [*islice(faults_of_form(arguments, spec.input, field), FAULTS_TOLD)]
    if faults:
        raise invalid(faults)
    spec.check(arguments, policy, field)


def check_open_url(url: object, policy: AddressPolicy, field: str) -> None:
    """As `check_url`, as far as the part before the first template tells."""
    if isinstance(url, str) and is_open(url):
        check_url_beginning(url.partition(TEMPLATE_MARK)[0], policy, field)
    elif isinstance(url, str):
        check_url(url, policy, field)


def check_open_headers(headers: object, field: str) -> None:
    """As `check_headers`, without the values that are not known yet."""
    if isinstance(headers, Mapping):
        check_headers({name: "" if is_open(value) else str(value) for name, value in headers.items()}, field)


def faults_of_form(value: object, into: Form, field: str) -> Iterator[FieldFault]:
    """`into` is any type that msgspec knows."""
    if not is_open(value):
        yield from _faults_of_closed(value, into, field)
    elif isinstance(value, str):
        yield from _faults_of_text(value, into, field)
    elif (container := _container(into, type(value))) is None:
        yield from _faults_of_closed(type(value)(), into, field)
    elif container is Any:
        return
    elif isinstance(value, Mapping):
        yield from _faults_of_mapping(value, container, field)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from faults_of_form(item, _argument(container), f"{field}[{index}]")


def _faults_of_closed(value: object, into: Form, field: str) -> Iterator[FieldFault]:
    try:
        decode(value, into, field)
    except Invalid as refusal:
        yield from refusal.validation_errors


def _faults_of_text(text: str, into: Form, field: str) -> Iterator[FieldFault]:
    """One `${…}` keeps its value's type, which can be any; with text around it, it is text."""
    if not (text.startswith(TEMPLATE_MARK) and text.endswith("}")):
        yield from (fault for fault in _faults_of_closed(SOME_TEXT, into, field) if fault.code == "invalid_type")


def _faults_of_mapping(value: Mapping[str, object], container: Form, field: str) -> Iterator[FieldFault]:
    if not _is_struct(container):
        for name, each in value.items():
            yield from faults_of_form(each, _argument(container), f"{field}.{name}")
        return
    opened = {
        each.encode_name: each.type
        for each in msgspec.structs.fields(container)
        if is_open(value.get(each.encode_name))
    }
    closed = {name: each for name, each in value.items() if name not in opened}
    for fault in _faults_of_closed(closed, container, field):
        if fault.field not in {f"{field}.{name}" for name in opened}:
            yield fault
    for name, kind in opened.items():
        yield from faults_of_form(value[name], kind, f"{field}.{name}")


def _container(into: Form, kind: type) -> Form:
    """The form that an object or a list takes in `into`; None where it has none, Any where it can have every one."""
    origin: object = get_origin(into)
    if origin is Annotated:
        return _container(get_args(into)[0], kind)
    if origin in (Union, UnionType):
        return next((each for member in get_args(into) if (each := _container(member, kind)) is not None), None)
    if into in (Any, object):
        return Any
    if _is_struct(into):
        return into if kind is dict else None
    is_sequence = kind is list and origin is tuple
    return into if is_sequence or kind in (origin, into) else None


def _argument(container: Form) -> Form:
    """The type of the values in an object or list."""
    return next((each for each in reversed(get_args(container)) if each is not Ellipsis), Any)


def _is_struct(container: Form) -> bool:
    return isinstance(container, type) and issubclass(container, msgspec.Struct)
