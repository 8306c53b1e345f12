"""PURE: what a use of a secret looks like in the text of a task."""

# Stands for each name in turn, where a statement compares many; no name has this character.
ANY_NAME = "%"


def reference_pattern(name: str) -> str:
    """A regular expression of Postgres for `secrets.<name>` and `secrets["<name>"]`, and for `secrets[<expression>]`,
    which may mean any. It rather finds too much: a text that only mentions the name counts as a use.

    `name` has letters, digits and underscores only, or is `ANY_NAME`."""
    gap, quote = r"[\s\\]*", r"[\"']"
    by_name = rf"\.\??{gap}{name}\y"
    by_text = rf"\[\??{gap}{quote}{name}\\*{quote}"
    by_expression = rf"\[\??{gap}[^\s\\\"']"
    return rf"\ysecrets{gap}({by_name}|{by_text}|{by_expression})"
