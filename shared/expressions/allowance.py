"""What may be computed and yielded at a stretch: nothing else runs meanwhile."""

from shared.expressions.fault import ExpressionFault
from shared.expressions.limits import OUTPUT_BYTES, TEMPLATE_UNITS


class Allowance:
    """Shared by expressions that are evaluated one after the other, and used up by them. `units` of work, as in
    `limits.py`; `characters` of JSON."""

    __slots__ = ("characters", "units")

    def __init__(self, units: int = TEMPLATE_UNITS, characters: int = OUTPUT_BYTES) -> None:
        self.units = units
        self.characters = characters

    def require(self) -> None:
        """Raises ExpressionFault when nothing is left."""
        if self.units < 0:
            raise ExpressionFault("This is too much to compute in one step; do it in two steps, or take less.")

    def work(self, units: int) -> None:
        """Raises ExpressionFault."""
        self.units -= units
        self.require()

    def give(self, characters: int) -> None:
        """Raises ExpressionFault."""
        self.characters -= characters
        if self.characters < 0:
            raise ExpressionFault(
                f"The results together are larger than {OUTPUT_BYTES // 1024} KiB; take less of them."
            )
