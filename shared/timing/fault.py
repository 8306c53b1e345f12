"""The one refusal of this package: a schedule that cannot be kept, said so that its author can mend it."""

from shared.vocabulary.faults import FieldFault, Invalid

INVALID_SCHEDULE = "invalid_schedule"
NEVER_FIRES = "schedule_never_fires"
TOO_FREQUENT = "schedule_too_frequent"
TOO_COMPLEX = "schedule_too_complex"
INVALID_TIMEZONE = "invalid_timezone"
IN_PAST = "schedule_in_past"
INVALID_DATETIME = "invalid_datetime"


class ScheduleFault(Invalid):
    """Carries one FieldFault, whose field is `schedule_expr` or `timezone` and whose code is the code of the answer."""

    def __init__(
        self,
        message: str,
        *,
        code: str = INVALID_SCHEDULE,
        field: str = "schedule_expr",
        position: int | None = None,
        suggestion: str | None = None,
    ) -> None:
        wrong = FieldFault(field, message, code, position, suggestion)
        super().__init__(message, error_code=code, validation_errors=[wrong])
        self.wrong = wrong
