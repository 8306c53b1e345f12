"""`python -m tests.bench [QUESTION …]` measures and reports; ONLY, QUICK, PAO_BENCH_OUT are of the environment."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from shared.runtime.settings import read_environment
from tests.bench.harness.question import Answer, Bench, Measure, find_questions
from tests.bench.harness.report import as_json, as_table
from tests.bench.harness.stores import started_stores
from tests.bench.harness.surroundings import surroundings_of

DEFAULT_OUT = ".local/bench/latest.json"


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    questions = _chosen(find_questions(), arguments or environment.get("ONLY", "").split())
    out = Path(environment.get("PAO_BENCH_OUT", DEFAULT_OUT))
    with started_stores() as stores:
        bench = Bench(stores, is_quick=environment.get("QUICK", "0") not in ("", "0"))
        answers, surroundings = asyncio.run(_measure(bench, questions))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(msgspec.json.format(msgspec.json.encode(as_json(answers, surroundings))))
    sys.stdout.write(f"{as_table(answers)}\n\n{out}\n")


def _chosen(questions: Mapping[str, Measure], names: Sequence[str]) -> dict[str, Measure]:
    unknown = [name for name in names if name not in questions]
    if unknown:
        sys.exit(f"bench: no such question: {', '.join(unknown)}; there are {', '.join(questions)}")
    return {name: questions[name] for name in names or questions}


async def _measure(bench: Bench, questions: Mapping[str, Measure]) -> tuple[dict[str, Answer], dict[str, object]]:
    answers = {name: await measure(bench) for name, measure in questions.items()}
    return answers, await surroundings_of(bench)


if __name__ == "__main__":
    main(sys.argv[1:], read_environment())
