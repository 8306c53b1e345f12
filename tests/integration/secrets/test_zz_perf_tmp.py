import time, json
from services.gateway.secrets.echoes import REFERENCE
from shared.database.statements import load_statements
from tests.support.rows import make_agent, make_task, make_due_work
from datetime import UTC, datetime
S = load_statements("services.gateway.secrets", "sql/secrets.sql")
A = load_statements("services.gateway.approvals", "sql/approvals.sql")
I = load_statements("services.executor", "sql/inbox.sql")

async def test_perf(pool):
    agent = await make_agent(pool)
    async def run_of(payload):
        task = await make_task(pool, None, agent_id=agent, payload=payload)
        run = await make_due_work(pool, task, datetime.now(UTC))
        await pool.execute("INSERT INTO task_run (id, task_id, agent_id, scheduled_for, status, source) SELECT id, task_id, agent_id, scheduled_for, 'running', source FROM due_work WHERE id=$1", run)
        return run
    await pool.execute("INSERT INTO secret (agent_id, name, version, key_id, nonce, ciphertext) SELECT $1, 'name_' || n, 1, '', '', repeat('x', 4000)::bytea FROM generate_series(1,1000) n", agent)
    plain = await run_of({"pipeline": [{"id":"a","uses":"x","with":{"t":"y"*1000}}]})
    one = await run_of({"pipeline": [{"id":"a","uses":"x","with":{"t":"${secrets.name_7}"}}]})
    big = await run_of({"pipeline": [{"id":"a","uses":"x","with":{"t":" ".join(f"secrets.name_{n} " for n in range(1,1001)) + "z"*200000}}]})
    for label, run in (("plain", plain), ("one", one), ("big", big)):
        for _ in range(3):
            t=time.perf_counter(); rows = await pool.fetch(S["find_secrets_of_run"].sql, run, REFERENCE, 60, 768*1024)
            print(label, len(rows), round((time.perf_counter()-t)*1000,2), "ms")
    others = [await make_agent(pool, f"o{n}") for n in range(20)]
    await pool.execute("INSERT INTO approval (id, agent_id, task_id, run_id, step_id, prompt, deadline_at, status, decided_at) SELECT gen_random_uuid(), ($1::uuid[])[1 + n % 20], gen_random_uuid(), gen_random_uuid(), 'a', 'p', now(), 'approved', now() FROM generate_series(1,100000) n", others)
    await pool.execute("ANALYZE approval")
    async with pool.acquire() as c:
        await c.execute("SET plan_cache_mode = force_generic_plan")
        await c.execute(f"PREPARE l(uuid,text,int8,int8) AS {A['list_approvals'].sql}")
        for r in await c.fetch(f"EXPLAIN (ANALYZE, COSTS OFF) EXECUTE l('{others[0]}', NULL, 50, 0)"): print(r[0])
        await c.execute(f"PREPARE s(uuid,uuid) AS {A['show_approval'].sql}")
        for r in await c.fetch(f"EXPLAIN (ANALYZE, COSTS OFF) EXECUTE s('{others[0]}', NULL)"): print(r[0])
