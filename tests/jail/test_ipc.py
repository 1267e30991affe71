"""System V IPC of the machine is out of reach: no file and no socket, and open to all of the user's programs."""

import ctypes
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sia.jail.protocol import Command, Jail, Limits, Mount

LIBC = ctypes.CDLL(None, use_errno=True)
CREATE, REMOVE = 0o1666, 0
TRIES = """
import ctypes, json, sys
libc = ctypes.CDLL(None)
shared, semaphores, queue = map(int, sys.argv[1:])
print(json.dumps([libc.shmget(shared, 0, 0) >= 0, libc.semget(semaphores, 0, 0) >= 0, libc.msgget(queue, 0) >= 0]))
"""
KEYS = (0x51A0001, 0x51A0002, 0x51A0003)


@pytest.fixture
def objects() -> Iterator[None]:
    """A segment, a set of semaphores and a queue of another program of the user."""
    shared, semaphores, queue = KEYS
    made = (LIBC.shmget(shared, 4096, CREATE), LIBC.semget(semaphores, 1, CREATE), LIBC.msgget(queue, CREATE))
    try:
        if min(made) < 0:
            pytest.skip("this machine has no System V IPC")
        yield
    finally:
        LIBC.shmctl(made[0], REMOVE, None)
        LIBC.semctl(made[1], 0, REMOVE)
        LIBC.msgctl(made[2], REMOVE, None)


def test_shared_memory_semaphores_and_queues_are_reached_only_without_a_jail(
    any_jail: Jail, objects: None, tmp_path: Path
) -> None:
    work, log = tmp_path / "work", tmp_path / "log"
    work.mkdir()
    outcome = any_jail.run(
        Command(
            (sys.executable, "-c", TRIES, *map(str, KEYS)),
            work,
            log,
            Limits(seconds=20),
            mounts=(Mount(work, writable=True), Mount(Path(sys.prefix))),
        )
    )
    assert outcome.succeeded, log.read_text()
    assert json.loads(log.read_text()) == [any_jail.name == "none"] * 3
