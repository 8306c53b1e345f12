"""What MCP servers offer, remembered for a minute: their tools and how they want to be spoken to."""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from uuid import UUID

import msgspec

OFFER_SECONDS = 60.0
OFFERS = 1000
OFFERS_BYTES = 16 * 1024 * 1024

OfferKey = tuple[UUID, bytes]


class Offer(msgspec.Struct, frozen=True):
    """`schemas`: the input schema of each tool, as JSON. `discovery`: the server's description of itself, as JSON,
    when it needs no handshake; None when it does."""

    schemas: Mapping[str, bytes]
    discovery: bytes | None = None

    @property
    def size(self) -> int:
        texts = sum(len(name) + len(schema) for name, schema in self.schemas.items())
        return texts + len(self.discovery or b"")


class Offers:
    """The least recently used go first, by number and by bytes. Nothing is shared between agents: a server may show
    each of them something else."""

    def __init__(self) -> None:
        self._kept: OrderedDict[OfferKey, tuple[float, Offer]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: OfferKey, now: float) -> Offer | None:
        if key not in self._kept:
            return None
        expires_at, offer = self._kept[key]
        if now >= expires_at:
            self.drop(key)
            return None
        self._kept.move_to_end(key)
        return offer

    def put(self, key: OfferKey, offer: Offer, now: float) -> None:
        self.drop(key)
        self._kept[key] = (now + OFFER_SECONDS, offer)
        self._bytes += offer.size
        while len(self._kept) > OFFERS or self._bytes > OFFERS_BYTES:
            self.drop(next(iter(self._kept)))

    def drop(self, key: OfferKey) -> None:
        _, offer = self._kept.pop(key, (0.0, None))
        self._bytes -= offer.size if offer else 0


def key_of(agent_id: UUID, url: str, headers: Mapping[str, str]) -> OfferKey:
    """Headers hold credentials: only their digest is kept."""
    ordered = sorted((name.lower(), value) for name, value in headers.items())
    return agent_id, hashlib.sha256(msgspec.json.encode((url, ordered))).digest()
