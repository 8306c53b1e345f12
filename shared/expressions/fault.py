"""The one refusal of this package: an expression that cannot be read or evaluated, and how to mend it."""


class ExpressionFault(Exception):
    """`message` is a sentence that leads to the fix and repeats no value of the data; `position` a character offset
    inside the string that holds the expression; `path` the dotted place of that string (`headers.X-A`, `items[2].name`)
    inside the value that was compiled, '' for the value itself."""

    def __init__(self, message: str, *, position: int | None = None, path: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.position = position
        self.path = path

    def at(self, path: str, offset: int = 0) -> "ExpressionFault":
        """The same fault, seen from the value that holds the string: the expression begins `offset` characters in."""
        position = None if self.position is None else self.position + offset
        return ExpressionFault(self.message, position=position, path=path)
