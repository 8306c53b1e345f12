"""What is said of a name that leads nowhere: where, and what there is instead. Keys are told, values never."""

from collections.abc import Collection, Mapping
from heapq import nsmallest

from shared.expressions.fault import ExpressionFault
from shared.expressions.limits import NAME_CHARACTERS_SHOWN, NAMES_COMPARED, NAMES_SHOWN
from shared.vocabulary.decoding import close_match


def missing_variable(name: str, known: Collection[str]) -> ExpressionFault:
    return ExpressionFault(f"There is no `{name}`{_instead(name, known)}")


def missing_member(owner: tuple[str | int, ...], key: str | int, value: object) -> ExpressionFault:
    """`value` is what the owner's path leads to."""
    place = dotted(owner)
    match value:
        case Mapping():
            known = [each for each in value if isinstance(each, str)]
            shown = _shown(key) if isinstance(key, str) else str(key)
            return ExpressionFault(f"There is no `{shown}` in `{place}`{_instead(shown, known)}")
        case list() | tuple() if isinstance(key, int):
            return ExpressionFault(f"`{place}` has {len(value)} elements, counted from 0, so there is no [{key}].")
        case list() | tuple():
            return ExpressionFault(f"`{place}` is a list; write [0] for its first element.")
    return ExpressionFault(f"`{place}` is neither a map nor a list, so there is nothing in it.")


def dotted(path: tuple[str | int, ...]) -> str:
    """As an author writes it: `items[2].name`."""
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            text += f".{_shown(key)}" if text else _shown(key)
    return text


def _instead(name: str, known: Collection[str]) -> str:
    if not known:
        return "; it is empty."
    near = close_match(name, known) if len(known) <= NAMES_COMPARED else None
    listed = ", ".join(_shown(each) for each in nsmallest(NAMES_SHOWN, known))
    rest = f" and {len(known) - NAMES_SHOWN} more" if len(known) > NAMES_SHOWN else ""
    hint = f"; did you mean {_shown(near)}? Known are " if near else "; known are "
    return f"{hint}{listed}{rest}."


def _shown(name: str) -> str:
    name = name.encode(errors="replace").decode()
    return name if len(name) <= NAME_CHARACTERS_SHOWN else f"{name[:NAME_CHARACTERS_SHOWN]}…"
