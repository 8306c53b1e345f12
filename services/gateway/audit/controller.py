"""`/audit`."""

from datetime import datetime
from typing import Annotated, TypeAlias

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter
from litestar.response import Stream

from services.gateway.audit.export import MEDIA_TYPES
from services.gateway.audit.service import AuditService, checked
from services.gateway.audit.verifying import Known, Wanted
from services.gateway.audit.wire import EntryFilter, EntryView, ExportFormat, Sort, Verification
from services.gateway.http.access import produces, requires
from services.gateway.http.act import CurrentAct
from services.gateway.http.documentation import fails
from services.gateway.http.instants import wrong_query
from services.gateway.http.paging import Cursor, Limit, Offset, Page
from shared.vocabulary.limits import PAGE_DEFAULT
from shared.vocabulary.scopes import Scope

Audit: TypeAlias = NamedDependency[AuditService]

SUBJECT_CHARACTERS = 256
SEAL_MAX = (1 << 63) - 1

Actor: TypeAlias = Annotated[
    str | None,
    QueryParameter(
        min_length=1,
        max_length=SUBJECT_CHARACTERS,
        description="The id of an agent, its name, or the name of a part of the system, such as scheduler.",
    ),
]
ActionQuery: TypeAlias = Annotated[
    str | None,
    QueryParameter(min_length=1, max_length=64, description="One, such as task.created, or all of a kind: task.*"),
]
SubjectType: TypeAlias = Annotated[
    str | None, QueryParameter(min_length=1, max_length=64, description="What was changed, such as task or agent.")
]
SubjectId: TypeAlias = Annotated[
    str | None,
    QueryParameter(
        min_length=1,
        max_length=SUBJECT_CHARACTERS,
        description="The id of what was changed; of a secret, the id of its agent, a slash, and its name.",
    ),
]
RequestId: TypeAlias = Annotated[
    str | None,
    QueryParameter(min_length=1, max_length=128, description="The X-Request-ID of the request that changed something."),
]
Start: TypeAlias = Annotated[datetime | None, QueryParameter(description="Entries from this instant on.")]
End: TypeAlias = Annotated[datetime | None, QueryParameter(description="Entries before this instant.")]
Number: TypeAlias = Annotated[int, QueryParameter(ge=1, le=SEAL_MAX, description="The first seal that is looked at.")]
LastNumber: TypeAlias = Annotated[
    int | None,
    QueryParameter(
        ge=1, le=SEAL_MAX, description="The last seal; without it, also what waits behind the newest seal is looked at."
    ),
]
KnownNumber: TypeAlias = Annotated[
    int | None, QueryParameter(ge=1, le=SEAL_MAX, description="A seal that you noted earlier, with known_hash.")
]
KnownHash: TypeAlias = Annotated[
    str | None, QueryParameter(pattern="^[0-9a-fA-F]{64}$", description="The hash of known_seal as you noted it.")
]


class AuditController(Controller):
    path = "/audit"
    tags = ("audit",)

    @get(opt=requires(Scope.AUDIT_READ) | fails("invalid_cursor"), summary="List who changed what, newest first")
    async def list_audit_entries(
        self,
        *,
        act: CurrentAct,
        audit: Audit,
        actor: Actor = None,
        action: ActionQuery = None,
        subject_type: SubjectType = None,
        subject_id: SubjectId = None,
        request_id: RequestId = None,
        start_time: Start = None,
        end_time: End = None,
        sort: FromQuery[Sort] = "-at",
        limit: Limit = PAGE_DEFAULT,
        offset: Offset = 0,
        cursor: Cursor = None,
    ) -> Page[EntryView]:
        """One entry for each accepted change. An admin sees all of them, an agent those of what it did itself."""
        filters = checked(
            EntryFilter(
                actor=actor,
                action=action,
                subject_type=subject_type,
                subject_id=subject_id,
                request_id=request_id,
                start_time=start_time,
                end_time=end_time,
            )
        )
        request = act.page_request(filters, sort=sort, limit=limit, offset=offset, cursor=cursor)
        found = await act.read_list(lambda connection: audit.list(connection, act.caller, filters, request))
        return act.page(request, found)

    @get(
        "/export",
        opt=requires(Scope.AUDIT_READ) | produces(*MEDIA_TYPES.values()) | fails("busy"),
        summary="Export who changed what, oldest first",
    )
    async def export_audit_entries(
        self,
        *,
        act: CurrentAct,
        audit: Audit,
        format: FromQuery[ExportFormat] = ExportFormat.NDJSON,  # noqa: A002 (the name of the parameter)
        actor: Actor = None,
        action: ActionQuery = None,
        subject_type: SubjectType = None,
        subject_id: SubjectId = None,
        request_id: RequestId = None,
        start_time: Start = None,
        end_time: End = None,
    ) -> Stream:
        """The same entries as the list, all of them, as one JSON object per line or as CSV. In CSV a text that a
        spreadsheet would take for a formula has an apostrophe in front. An export that could not be read to its end
        breaks the connection off: what came to a regular end is whole."""
        filters = checked(
            EntryFilter(
                actor=actor,
                action=action,
                subject_type=subject_type,
                subject_id=subject_id,
                request_id=request_id,
                start_time=start_time,
                end_time=end_time,
            )
        )
        lines = await audit.export(act, filters, format)
        headers = {"Content-Disposition": f'attachment; filename="audit.{format}"'}
        return Stream(lines, media_type=MEDIA_TYPES[format], headers=headers)

    @get(
        "/verify",
        opt=requires(Scope.AUDIT_READ) | fails("busy"),
        summary="Verify that the trail is as it was written",
    )
    async def verify_audit_trail(
        self,
        *,
        act: CurrentAct,
        audit: Audit,
        from_seal: Number = 1,
        to_seal: LastNumber = None,
        known_seal: KnownNumber = None,
        known_hash: KnownHash = None,
    ) -> Verification:
        """Every seal holds the hash of its entries and of the seal before it. The chain of all is verified, whoever
        asks: the answer tells nothing of what entries say. Whoever can change everything in the database can also seal
        it anew; only a head that was kept elsewhere shows that. Give it as known_seal and known_hash."""
        known = _known(known_seal, known_hash)
        if to_seal is not None and to_seal < from_seal:
            raise wrong_query("to_seal", "The last seal must not come before from_seal.", "out_of_range")
        return await audit.verify(act, Wanted(from_seal=from_seal, to_seal=to_seal, known=known))


def _known(seal: int | None, seal_hash: str | None) -> Known | None:
    if seal is None and seal_hash is None:
        return None
    if seal is None or seal_hash is None:
        missing = "known_seal" if seal is None else "known_hash"
        raise wrong_query(missing, "Give known_seal and known_hash together.", "required")
    return Known(seal, bytes.fromhex(seal_hash))
