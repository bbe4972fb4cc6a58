"""R45: random chains, random nights, random tamperings in a real database: always noticed, and a
sound trail is never accused."""

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playpark.cash import FIRST_HASH
from tests.api.trails import NAMES, Doc, Park, park, resealed

CHAINS = [f"T:S{store}:{device}" for store in (1, 2) for device in ("till", "gate")]
FIELDS = ("ts", "actor_id", "event_type", "entity_id", "payload", "ip", "request_id", "hash")
HISTORIES = 12


@dataclass
class Worlds:
    """`histories`: what stands in all collections after some random days."""

    runner: asyncio.Runner
    park: Park
    histories: list[dict[str, list[Doc]]] = field(default_factory=list)

    def live(self, seed: int) -> None:
        """Days of a random park."""
        dice = random.Random(seed)
        self.clear()

        async def days() -> None:
            for _ in range(dice.randint(0, 7)):
                for _ in range(dice.randint(0, 5)):
                    await self.park.write(dice.choice(CHAINS), dice.randint(1, 3))
                if dice.random() < 0.8:
                    await self.park.night(dice.randint(1, 3))
            await self.park.write(dice.choice(CHAINS), dice.randint(2, 6))

        self.runner.run(days())
        self.histories.append({name: list(self.park.db[name].find()) for name in NAMES})

    def clear(self) -> None:
        for name in (*NAMES, "job_leases"):
            self.park.db[name].delete_many({})

    def restore(self, history: dict[str, list[Doc]]) -> None:
        self.clear()
        for name, documents in history.items():
            if documents:
                self.park.db[name].insert_many(documents)

    def broken(self) -> list[Any]:
        return self.runner.run(self.park.verify()).breaks


@pytest.fixture(scope="module")
def worlds(mongo_uri: str, database: str) -> Iterator[Worlds]:
    # A loop of its own: hypothesis runs its examples outside the one of the other tests.
    with asyncio.Runner() as runner:
        opened = park(mongo_uri, f"{database}_property", audit_raw_days=2)
        made = Worlds(runner, runner.run(opened.__aenter__()))
        made.park.allow_duplicates()
        for seed in range(HISTORIES):
            made.live(seed)
        yield made
        runner.run(opened.__aexit__(None, None, None))


def rows(world: Worlds) -> list[Doc]:
    found: list[Doc] = list(world.park.db.audits.find().sort("_id", 1))
    return found


# --- tamperings: each changes what the trail says, or answers False -------------------------


def edit(world: Worlds, dice: random.Random) -> bool:
    row, name = dice.choice(rows(world)), dice.choice(FIELDS)
    world.park.set("audits", row["_id"], **{name: dice.choice(["x", 7, [], {"a": 1}, "f" * 64])})
    return True


def edit_and_reseal(world: Worlds, dice: random.Random) -> bool:
    row = dice.choice(rows(world))
    world.park.put(resealed(row, entity_id=f"x{dice.random()}"), instead_of=row)
    return True


def delete(world: Worlds, dice: random.Random) -> bool:
    found = rows(world)
    gone = dice.sample(found, dice.randint(1, min(3, len(found))))
    world.park.db.audits.delete_many({"_id": {"$in": [row["_id"] for row in gone]}})
    return True


def insert(world: Worlds, dice: random.Random) -> bool:
    row = dice.choice(rows(world))
    made = {**row, "_id": f"x{dice.random()}", "seq": dice.randint(0, 30), "entity_id": "forged"}
    world.park.put(resealed(made) if dice.random() < 0.5 else made)
    return True


def swap(world: Worlds, dice: random.Random) -> bool:
    chain = dice.choice([row["chain"] for row in rows(world)])
    found = [row for row in rows(world) if row["chain"] == chain]
    if len(found) < 2:
        return False
    one, two = dice.sample(found, 2)
    world.park.db.audits.delete_many({"_id": {"$in": [one["_id"], two["_id"]]}})
    keep = dice.choice([(), ("seq",), ("seq", "prev_hash"), ("seq", "prev_hash", "hash")])
    keep = ("_id", *keep) if keep else ("_id",)
    for mine, others in ((one, two), (two, one)):
        world.park.put({**others, **{name: mine[name] for name in keep}})
    return True


def shuffle(world: Worlds, dice: random.Random) -> bool:
    chain = dice.choice([row["chain"] for row in rows(world)])
    found = [row for row in rows(world) if row["chain"] == chain]
    order = [row["seq"] for row in found]
    dice.shuffle(order)
    if order == [row["seq"] for row in found]:
        return False
    for row, seq in zip(found, order, strict=True):
        world.park.set("audits", row["_id"], seq=seq)
    return True


def truncate(world: Worlds, dice: random.Random) -> bool:
    row = dice.choice(rows(world))
    found = [each for each in rows(world) if each["chain"] == row["chain"]]
    if row["seq"] == max(each["seq"] for each in found):
        return False
    world.park.truncate(row["chain"], row["seq"], head=False)
    return True


def forget_a_chain(world: Worlds, dice: random.Random) -> bool:
    """Rows, head and checkpoint: noticed where an anchor has seen the chain."""
    anchored = world.park.db.audit_anchors.find_one(sort=[("number", -1)])
    if not anchored:
        return False
    chain = dice.choice(anchored["heads"])["chain"]
    world.park.db.audits.delete_many({"chain": chain})
    for name in ("audit_heads", "audit_checkpoints"):
        world.park.db[name].delete_one({"_id": chain})
    return True


def write_anew(world: Worlds, dice: random.Random) -> bool:
    """A chain rewritten to its end, head and all: noticed where an anchor has seen it."""
    chain = dice.choice([row["chain"] for row in rows(world)])
    found = sorted((r for r in rows(world) if r["chain"] == chain), key=lambda r: r["seq"])
    anchored = world.park.db.audit_anchors.find_one({"heads.chain": chain}, sort=[("number", -1)])
    known = [h["seq"] for h in (anchored or {"heads": []})["heads"] if h["chain"] == chain]
    if not known or found[0]["seq"] > known[0]:
        return False
    prev = found[0]["prev_hash"]
    for row in found:
        made = resealed(row, prev, entity_id="x")
        world.park.put(made, instead_of=row)
        prev = made["hash"]
    world.park.move_head(chain, found[-1]["seq"])
    return True


def change_a_head(world: Worlds, dice: random.Random) -> bool:
    head = dice.choice(list(world.park.db.audit_heads.find()))
    change = dice.choice([{"seq": head["seq"] + 1}, {"seq": head["seq"] - 1}, {"hash": FIRST_HASH}])
    if dice.random() < 0.2:
        world.park.db.audit_heads.delete_one({"_id": head["_id"]})
    else:
        world.park.set("audit_heads", head["_id"], **change)
    return True


def change_a_checkpoint(world: Worlds, dice: random.Random) -> bool:
    found = list(world.park.db.audit_checkpoints.find())
    if not found:
        return False
    told = dice.choice(found)
    other = told["seq"] + dice.choice([-2, -1, 1, 2])
    change = dice.choice([{"seq": other, "count": other}, {"hash": FIRST_HASH}, {"count": 0}])
    if dice.random() < 0.2:
        world.park.db.audit_checkpoints.delete_one({"_id": told["_id"]})
    else:
        world.park.set("audit_checkpoints", told["_id"], **change)
    return True


def change_an_anchor(world: Worlds, dice: random.Random) -> bool:
    found = list(world.park.db.audit_anchors.find())
    if not found:
        return False
    told = dice.choice(found)
    if dice.random() < 0.3:
        world.park.db.audit_anchors.delete_one({"_id": told["_id"]})
        return True
    heads = [{**head, "seq": head["seq"] + dice.choice([-1, 1])} for head in told["heads"]]
    change = dice.choice(
        [{"heads": heads}, {"removes": told["removes"] + 1}, {"day": "2026-01-01"}]
    )
    world.park.set("audit_anchors", told["_id"], **change)
    return True


TAMPERINGS: list[Callable[[Worlds, random.Random], bool]] = [
    *(edit, edit_and_reseal, delete, insert, swap, shuffle, truncate, forget_a_chain, write_anew),
    *(change_a_head, change_a_checkpoint, change_an_anchor),
]


@pytest.mark.parametrize("number", range(HISTORIES))
def test_R45_a_sound_trail_is_never_accused(worlds: Worlds, number: int) -> None:
    worlds.restore(worlds.histories[number])
    assert worlds.broken() == []


def test_R45_whatever_is_tampered_with_is_noticed(worlds: Worlds) -> None:
    done: dict[str, int] = {}

    @settings(max_examples=min(2_000, settings().max_examples))
    @given(
        history=st.integers(0, HISTORIES - 1),
        tampering=st.sampled_from(TAMPERINGS),
        seed=st.integers(0, 2**32),
    )
    def tamper(history: int, tampering: Callable[[Worlds, random.Random], bool], seed: int) -> None:
        worlds.restore(worlds.histories[history])
        if not tampering(worlds, random.Random(seed)):
            return
        found = worlds.broken()
        assert found, (tampering.__name__, history, seed)
        done[tampering.__name__] = done.get(tampering.__name__, 0) + 1

    tamper()
    assert set(done) == {each.__name__ for each in TAMPERINGS}
    assert sum(done.values()) > 80
