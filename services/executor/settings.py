"""What the executor reads from its environment."""

from typing import Annotated

import msgspec

from shared.runtime.settings import ServiceSettings, SettingsFault, check_token_key, parse_policy
from shared.secrets.settings import parse_ring
from shared.vocabulary.limits import LEASE_MARGIN_SECONDS, LEASE_RENEW_SECONDS, LEASE_SECONDS

Positive = Annotated[float, msgspec.Meta(gt=0)]


class ExecutorSettings(ServiceSettings, frozen=True, kw_only=True):
    """`max_jobs`: runs at a time in this process. `job_completion_wait_seconds`: how long a stop waits for them before
    it hands them back; keep it below the time after which the process is killed. `outbound_allow`: CIDRs, separated by
    commas, of private ranges that steps may call. `token_key`: the gateway's, for the tokens with which the targets of
    steps answer; `public_url`: where they find the gateway. `secrets_key`, `secrets_keys_old`: the gateway's, to read
    secrets by."""

    token_key: str
    max_jobs: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 2000
    claim_batch: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    job_completion_wait_seconds: Annotated[int, msgspec.Meta(ge=1)] = 3
    lease_seconds: Positive = LEASE_SECONDS
    lease_renew_seconds: Positive = LEASE_RENEW_SECONDS
    database_pool_size: Annotated[int, msgspec.Meta(ge=2)] = 4
    outbound_allow: str = ""
    public_url: str | None = None
    secrets_key: str | None = None
    secrets_keys_old: str = ""

    def __post_init__(self) -> None:
        check_token_key(self.token_key)
        parse_policy(self.outbound_allow)
        parse_ring(self.secrets_key, self.secrets_keys_old)
        if self.lease_renew_seconds >= self.lease_seconds - LEASE_MARGIN_SECONDS:
            message = f"PAO_LEASE_SECONDS must be more than {LEASE_MARGIN_SECONDS:g} s above PAO_LEASE_RENEW_SECONDS"
            raise SettingsFault(message)
