"""What only this device has, in an encrypted file that can be carried to the office (R34, R37).

It holds no token of the device and no key. Somebody hands it in; the server keeps what is in it for
a review under the device that it came from.
"""

import base64
import contextlib
import hashlib
import json
import os
import secrets
import sqlite3
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Literal

from argon2.low_level import Type, hash_secret_raw
from cryptography.fernet import Fernet, InvalidToken
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from playpark.client import ApiClient
from playpark.clock import UtcDatetime
from playpark.contracts.sync import MAX_OPS, BundleIn, BundleOut, OpIn
from playpark.device.operations import BATCH_BYTES
from playpark.device.readout import Found, KeptOp, look_into, read_out
from playpark.device.safe import Safe, box, find_safe
from playpark.errors import ErrorCode, PlayParkError

ENDING = ".bundle"
SHORTEST_PASSPHRASE = 12
_LABEL = "bundle"
_MEMORY_KIB, _PASSES = 64 * 1024, 3
"""Of argon2id over a passphrase; they belong to the format, so that a file cannot ask for more."""
_NO_BUNDLE = "This is no export of a PlayPark device, or it is damaged: export it again."


class Origin(BaseModel):
    """The device that a bundle comes from: its identity without its secrets."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    device_id: str
    device_code: str
    name: str | None = None
    api_url: str
    tenant_id: str | None = None
    store_id: str | None = None


class Bundle(BaseModel):
    """Operations that the server has not answered, and those of the quarantine, as they stand.

    `origin` is null where not even that could be read; `unreadable` is how many operations of a
    damaged file could not be. `counters` are the last numbers that the device has given out.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    made_at: UtcDatetime
    origin: Origin | None
    epoch: int
    counters: dict[str, int]
    unreadable: int = 0
    ops: list[KeptOp] = Field(repr=False)

    @classmethod
    def of(cls, found: Found, now: datetime) -> "Bundle":
        """What was found in a device's file."""
        who = found.identity
        origin = who and Origin(
            device_id=who.device_id,
            device_code=who.device_code,
            name=who.device.name if who.device else None,
            api_url=who.api_url,
            tenant_id=who.store.tenant_id if who.store else None,
            store_id=who.store.store_id if who.store else None,
        )
        return cls(
            made_at=now,
            origin=origin,
            epoch=found.epoch,
            counters=found.counters,
            unreadable=found.unreadable,
            ops=found.ops,
        )


# --- sealing ----------------------------------------------------------------------------


class Lock(BaseModel):
    """The first line of the file: what opens the rest. `passphrase`: `salt` of argon2id; `safe`:
    the `name` of the secret in the device's safe."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["playpark-bundle-1"] = "playpark-bundle-1"
    key: Literal["passphrase", "safe"]
    salt: str = ""
    name: str = ""


def seal(bundle: Bundle, key: str | Safe) -> bytes:
    """The file of a bundle, for a passphrase or for the device's safe. Raises E_VALIDATION for a
    passphrase that is too short, E_UNAVAILABLE where the safe gives no secret."""
    if isinstance(key, str):
        if len(key) < SHORTEST_PASSPHRASE:
            message = f"Choose a passphrase of {SHORTEST_PASSPHRASE} characters or more."
            raise PlayParkError(ErrorCode.VALIDATION, message)
        lock = Lock(key="passphrase", salt=secrets.token_hex(16))
    else:
        lock = Lock(key="safe", name=f"bundle:{secrets.token_hex(8)}")
    sealed = _opener(lock, key).encrypt(bundle.model_dump_json().encode())
    return lock.model_dump_json().encode() + b"\n" + sealed + b"\n"


def unseal(content: bytes, key: str | Safe) -> Bundle:
    """What `seal` has sealed. Raises E_VALIDATION: no bundle, damaged, or the wrong key."""
    try:
        lock = Lock.model_validate_json(content.partition(b"\n")[0])
    except ValidationError as wrong:
        raise PlayParkError(ErrorCode.VALIDATION, _NO_BUNDLE) from wrong
    if isinstance(key, str) != (lock.key == "passphrase"):
        opens = "a passphrase" if lock.key == "passphrase" else "the secret of its device"
        raise PlayParkError(ErrorCode.VALIDATION, f"This export is opened with {opens}.")
    try:
        return Bundle.model_validate_json(_opener(lock, key).decrypt(content.partition(b"\n")[2]))
    except InvalidToken as wrong:
        message = "That does not open this export, or it is damaged: try again."
        raise PlayParkError(ErrorCode.VALIDATION, message) from wrong
    except ValidationError as wrong:
        raise PlayParkError(ErrorCode.VALIDATION, _NO_BUNDLE) from wrong


def needs_passphrase(content: bytes) -> bool:
    """Whether a person opens it, not a safe. Raises E_VALIDATION where it is no bundle."""
    try:
        return Lock.model_validate_json(content.partition(b"\n")[0]).key == "passphrase"
    except ValidationError as wrong:
        raise PlayParkError(ErrorCode.VALIDATION, _NO_BUNDLE) from wrong


def _opener(lock: Lock, key: str | Safe) -> Fernet:
    if not isinstance(key, str):
        secret = key.secret(lock.name)
        if secret is None:
            message = "The safe of this device gives no secret: use a passphrase."
            raise PlayParkError(ErrorCode.UNAVAILABLE, message)
        return box(_LABEL, secret)
    raw = hash_secret_raw(
        key.encode(),
        lock.salt.encode(),
        time_cost=_PASSES,
        memory_cost=_MEMORY_KIB,
        parallelism=1,
        hash_len=32,
        type=Type.ID,
    )
    return Fernet(base64.urlsafe_b64encode(raw))


# --- files ------------------------------------------------------------------------------


def write(content: bytes, target: Path) -> None:
    """Put a bundle on the disk, whole or not at all. Raises E_CONFLICT where `target` exists,
    E_UNAVAILABLE where it cannot be written."""
    unfinished = target.with_name(f"{target.name}.part")
    try:
        if target.exists():
            message = f"{target} is there already: choose another name."
            raise PlayParkError(ErrorCode.CONFLICT, message)
        target.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(unfinished, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(target)
    except OSError as refused:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        message = f"{target} cannot be written ({refused.strerror}): choose another folder."
        raise PlayParkError(ErrorCode.UNAVAILABLE, message) from refused


def export(path: Path, target: Path, key: str | Safe, now: datetime, *, damaged: bool) -> Bundle:
    """Save what only the file `path` has to `target`. The file remembers that it was exported in
    this state, where its disk takes that. Raises what `look_into`, `seal` and `write` raise."""
    with look_into(path, damaged=damaged) as connection:
        found = read_out(connection, damaged=damaged)
        bundle = save(found, target, key, now)
        if not damaged:
            with contextlib.suppress(sqlite3.OperationalError):  # a full disk takes no note
                connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", note_of(found))
    return bundle


def save(found: Found, target: Path, key: str | Safe, now: datetime) -> Bundle:
    """Seal what was found and put it on the disk. Raises what `seal` and `write` raise."""
    bundle = Bundle.of(found, now)
    write(seal(bundle, key), target)
    return bundle


def salvage(aside: Path, now: datetime) -> str:
    """Save what can be read of a damaged file beside it, with the secret of the device's safe;
    what came of it, for the person at the device."""
    target = aside.with_name(aside.name + ENDING)
    try:
        safe = find_safe()
        if safe is not None:
            made = export(aside, target, safe, now, damaged=True)
            return f"{len(made.ops)} operations that can be read are saved as {target}."
    except PlayParkError:
        target.unlink(missing_ok=True)
    return f"Save what can be read of it: playpark device export --data {aside}"


# --- exported, and unchanged since ------------------------------------------------------

_EXPORTED = "exported"


def note_of(found: Found) -> tuple[str, str]:
    """The fact, name and value, that all of this stands in an export."""
    return _EXPORTED, hashlib.sha256(found.mark.encode()).hexdigest()


def is_exported(connection: sqlite3.Connection, found: Found) -> bool:
    """Whether all that only this file has stands in an export."""
    row = connection.execute("SELECT value FROM facts WHERE name = ?", (_EXPORTED,)).fetchone()
    return row is not None and (_EXPORTED, row["value"]) == note_of(found)


# --- handing in -------------------------------------------------------------------------


async def hand_in(client: ApiClient, bundle: Bundle, device_id: str) -> BundleOut:
    """Give the server a bundle for a review under `device_id`, batch by batch; what it has already
    it knows. Raises what the server answers, after batches that it has kept."""
    kept = known = 0
    store_id = bundle.origin.store_id if bundle.origin else None
    for epoch, ops in groupby(bundle.ops, key=lambda op: op.epoch):
        for batch in _batches([op.to_op_in() for op in ops]):
            body = BundleIn(device_id=device_id, epoch=epoch, ops=batch)
            answer = await client.import_bundle(body, store_id=store_id)
            kept, known = kept + answer.kept, known + answer.known
    return BundleOut(kept=kept, known=known)


def _batches(ops: list[OpIn]) -> list[list[OpIn]]:
    """No more than the server takes in one body (R35, R56)."""
    batches: list[list[OpIn]] = []
    room = 0
    for op in ops:
        size = len(json.dumps(op.body))
        if not batches or len(batches[-1]) == MAX_OPS or size > room:
            batches.append([])
            room = BATCH_BYTES
        batches[-1].append(op)
        room -= size
    return batches
