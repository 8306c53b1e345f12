"""Every code that an error can have: its status, what it means, and what helps."""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec


class ErrorCode(msgspec.Struct, frozen=True):
    """`status`: of the answer, the usual one; None for a code that only single fields have. `remedy`: what to do."""

    status: int | None
    meaning: str
    remedy: str


def _codes(status: int | None, **described: tuple[str, str]) -> dict[str, ErrorCode]:
    return {code: ErrorCode(status, meaning, remedy) for code, (meaning, remedy) in described.items()}


_ASK_AGAIN = "Ask again after the seconds of Retry-After."
_SEE_FIELD = "The message of the field says what would be right."
_SEE_STATE = "Look at the object and decide anew."

ERROR_CODES: Mapping[str, ErrorCode] = MappingProxyType(
    _codes(
        400,
        bad_request=("The request breaks a rule of HTTP or of this API.", "The detail names the rule."),
        invalid_json=("The body is missing or is not JSON.", "Send one JSON object; the detail names the place."),
        invalid_encoding=("The body is not UTF-8, or holds half of a surrogate pair.", "Encode the text as UTF-8."),
        duplicate_key=("A key is given twice in one object.", "Give each key once."),
        json_too_complex=("The JSON is nested too deeply or holds too many values.", "Send less in one request."),
        invalid_query=(
            "A query parameter is unknown, repeated, or has a wrong value.",
            "validation_errors names each wrong parameter and what is known.",
        ),
        invalid_cursor=(
            "The cursor was not made for this list, these filters, this sort or this agent.",
            "Begin again without a cursor.",
        ),
        invalid_last_event_id=("Last-Event-ID is not the id of an event of this stream.", "Leave it out to begin now."),
        invalid_idempotency_key=(
            "An Idempotency-Key has 1 to 128 printable ASCII characters, and comes once.",
            "Send one, such as a UUID.",
        ),
    )
    | _codes(
        401,
        unauthenticated=(
            "There is no token, or it is malformed, unknown, expired or revoked.",
            "Send a valid token in the header Authorization: Bearer.",
        ),
    )
    | _codes(
        403,
        forbidden=("The caller may not do this.", "Ask whoever administers the agents."),
        insufficient_scope=(
            "The token's agent does not hold the scope that this needs.",
            "Let an admin grant the scope; x-required-scope names it.",
        ),
        scope_escalation=("Nobody grants a scope without holding it.", "Grant only scopes that you hold."),
        quota_exceeded=(
            "The agent has as many as it may have.",
            "Waiting does not help: remove some or ask an admin.",
        ),
    )
    | _codes(
        404,
        not_found=("It does not exist, or belongs to another agent.", "Look at the id, and at the list that shows it."),
    )
    | _codes(405, method_not_allowed=("The route does not answer this method.", "The header Allow lists the methods."))
    | _codes(
        406,
        not_acceptable=("The answer has no form that the header Accept permits.", "Accept application/json."),
    )
    | _codes(408, request_timeout=("The body did not arrive in time.", "Send it faster, or send less at once."))
    | _codes(
        409,
        conflict=("The state of the object does not permit this.", _SEE_STATE),
        already_exists=("There is one with this name or key already.", "Use it, or choose another name."),
        already_decided=("The request for approval was decided before, and otherwise.", _SEE_STATE),
        approval_expired=("Nobody decided in time.", "The run has gone on or failed; replay it to be asked again."),
        already_started=("The occurrence has begun or passed.", "Choose one that upcoming shows."),
        idempotency_in_progress=("A request with this Idempotency-Key is being worked on.", _ASK_AGAIN),
        cannot_take_over=("The other agent may not do what the tasks need.", "Give it the scope, or choose another."),
        in_use=("Something still uses it.", "The detail names what; change or cancel that first."),
        last_admin=("No other active agent holds the scope admin.", "Give it to another one first."),
        lease_lost=("The message was handed out again, or is settled.", "Drop it; the newest delivery counts."),
        not_an_event_task=("The task does not wait for events.", "Give one whose schedule_kind is event."),
        nothing_to_snooze=("No occurrence lies ahead.", "Resume or change the task first."),
        run_finished=("The run has its outcome already.", "Replay it to run it again."),
        run_not_finished=("Only a finished run can be replayed.", "Wait for its outcome, or cancel it."),
        run_not_waiting=("The run does not wait for this any longer.", "Look at the run."),
        secrets_in_use=("Tasks use secrets, which belong to their agent.", "Change or cancel those tasks first."),
        self_change=("No agent does this to itself.", "Let another admin do it."),
        secrets_not_configured=("This gateway was started without a key for secrets.", "Ask its operator for one."),
        step_not_waiting=("No such step of this run waits for its target.", "Look at the steps of the run."),
        step_settled=("What became of the step is known already, and differs.", "Look at the steps of the run."),
        system_agent=("The built-in agent stays as it is.", "Use an agent of your own."),
        task_not_active=("The task is paused, canceled or completed.", "Resume it, or create another."),
        task_not_paused=("The task is not paused.", _SEE_STATE),
        token_not_active=("The token has expired or was revoked.", "Create a new one."),
        wait_expired=("The step has waited as long as it might.", "Send a heartbeat earlier the next time."),
    )
    | _codes(
        410,
        gone=("What was asked for was there and is removed.", "Begin with what is there now."),
        history_gone=("The stream does not reach back to Last-Event-ID.", "Read the list, then begin without it."),
    )
    | _codes(
        412,
        version_conflict=(
            "The object has changed since If-Match was read.",
            "Read it again, then change that.",
        ),
    )
    | _codes(
        413,
        payload_too_large=("The body, or one part of it, is larger than allowed.", "The detail names the bound."),
    )
    | _codes(414, uri_too_long=("A URL has at most 8 KiB.", "Shorten the query."))
    | _codes(
        415,
        unsupported_media_type=(
            "The body is of no media type that is read here.",
            "Send application/json as UTF-8.",
        ),
    )
    | _codes(
        422,
        invalid=("A value is wrong.", _SEE_FIELD),
        required=("A field is missing, or empty.", "Give it a value."),
        unknown_field=("There is no such field, or it is not the caller's to set.", "Leave it out."),
        invalid_type=("A value has another JSON type than its field.", _SEE_FIELD),
        conflicting_fields=("Two fields exclude one another.", "Leave one of them out."),
        invalid_choice=("A value is none of those that are known, or excludes another.", _SEE_FIELD),
        invalid_format=("A text does not have the form of its field.", _SEE_FIELD),
        invalid_character=("A text holds a character that cannot be stored or shown.", "Remove it."),
        invalid_id=("An id is not a UUID.", "Give the id as it was answered."),
        invalid_datetime=("An instant does not exist, or has no offset from UTC.", "Write 2030-01-31T09:00:00Z."),
        out_of_range=("A value lies outside its bounds.", "The message names the bounds."),
        too_long=("A text or list is too long.", "The message names the bound."),
        too_short=("A text or list is too short.", "The message names the bound."),
        invalid_name=("A name does not have the form that names have.", _SEE_FIELD),
        invalid_schedule=("The schedule cannot be read.", "position says where; POST /schedules/preview tries others."),
        schedule_never_fires=("The schedule has no occurrence ahead.", "Try it with POST /schedules/preview."),
        schedule_too_frequent=("The schedule fires more often than the agent may.", "Let it fire more seldom."),
        schedule_too_complex=("The schedule costs too much to compute.", "Say it in a simpler way."),
        schedule_in_past=("The time has passed.", "Choose one that lies ahead."),
        invalid_timezone=("There is no such time zone.", "Use a name of the IANA database, such as Europe/Chisinau."),
        invalid_pipeline=("A step or an expression in it is wrong.", "POST /pipelines/validate tells every fault."),
        unknown_tool=("There is no such tool.", "GET /tools lists those that exist."),
        invalid_url=("A URL cannot be called.", _SEE_FIELD),
        destination_forbidden=(
            "The address may not be called from here.",
            "Use a public address or ask the operator.",
        ),
        invalid_header=("A header may not be sent, or has a wrong value.", _SEE_FIELD),
        invalid_body=("The body of a step does not fit its other fields.", _SEE_FIELD),
        invalid_secret=("A secret cannot be used for this.", _SEE_FIELD),
        invalid_topic=("A topic or pattern does not have the form that topics have.", "Write words joined by dots."),
        event_loop=("Events caused one another too many times.", "Let the task not publish what it listens to."),
        idempotency_mismatch=("The Idempotency-Key was used for another body.", "Use a new key for a new request."),
        not_an_occurrence=("The schedule has no occurrence at this time.", "Give one that upcoming shows."),
        other_step=("The token speaks for another step.", "Leave step_id out."),
        unknown_agent=("There is no active agent with this id.", "Give the id of an active agent, or none."),
        unknown_scope=("There is no such scope.", _SEE_FIELD),
    )
    | _codes(
        429,
        too_many_requests=("There were too many requests.", _ASK_AGAIN),
        rate_limited=("The agent has sent as many requests as it may in this time.", _ASK_AGAIN),
        busy=("As many of these as may run at once are running.", _ASK_AGAIN),
        too_many_streams=("As many streams are open as may be.", "Close one, or ask again later."),
        too_many_waiters=("Too many requests of this agent wait for its inbox.", _ASK_AGAIN),
    )
    | _codes(431, headers_too_large=("The headers have at most 16 KiB together.", "Send fewer or shorter headers."))
    | _codes(500, internal=("Something went wrong that no request may cause.", "Report it with its request_id."))
    | _codes(
        503,
        unavailable=("Something that this needs is away for the moment; nothing was changed.", _ASK_AGAIN),
        storage_unavailable=("The database has no room left; nothing was changed.", _ASK_AGAIN),
    )
    | _codes(
        None,
        unknown_parameter=("There is no such query parameter.", "The message lists those that are known."),
        repeated_parameter=("A query parameter is given more than once.", "Give it once."),
        conflicting_parameters=("Two query parameters exclude one another.", "Leave one of them out."),
    )
)

TITLES: Mapping[int, str] = MappingProxyType(
    {
        400: "Bad request",
        401: "Unauthenticated",
        403: "Forbidden",
        404: "Not found",
        405: "Method not allowed",
        406: "Not acceptable",
        408: "Request timeout",
        409: "Conflict",
        410: "Gone",
        412: "Precondition failed",
        413: "Payload too large",
        414: "URI too long",
        415: "Unsupported media type",
        422: "Unprocessable content",
        429: "Too many requests",
        431: "Request header fields too large",
        503: "Service unavailable",
    }
)

# What a body that is well-formed JSON can get wrong, whatever its struct.
OF_BODIES = (
    *("required", "unknown_field", "invalid_type", "invalid_choice", "invalid_format", "invalid_character"),
    *("invalid_id", "invalid_datetime", "out_of_range", "too_long", "too_short"),
)
