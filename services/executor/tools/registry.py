"""The tools that an executor offers, by the name that steps use."""

from collections.abc import Iterable, Iterator, Mapping

from services.executor.tools.base import Tool


class Toolbox(Mapping[str, Tool]):
    """Built once at start; `close` lets go of every tool's connections."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        self._tools: dict[str, Tool] = {}
        for tool in tools:
            if tool.spec.name in self._tools:
                raise ValueError(f"two tools are named {tool.spec.name}")
            self._tools[tool.spec.name] = tool

    def __getitem__(self, name: str) -> Tool:
        return self._tools[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tools)

    def __len__(self) -> int:
        return len(self._tools)

    async def close(self) -> None:
        for tool in self._tools.values():
            await tool.close()
