"""What agents are made of works in the jail: numpy, scikit-learn with workers, multiprocessing, loky, asyncio."""

import sys
from pathlib import Path

import pytest

from sia.jail.protocol import Command, Jail, Limits, Mount

pytestmark = pytest.mark.slow
PROGRAMS = {
    "numpy": "import numpy as n\nprint(int((n.ones((200, 200)) @ n.ones((200, 200))).sum()))",
    "scikit-learn with n_jobs": (
        "from sklearn.datasets import make_classification\n"
        "from sklearn.ensemble import RandomForestClassifier\n"
        "from sklearn.model_selection import cross_val_score\n"
        "if __name__ == '__main__':\n"
        "    x, y = make_classification(300, random_state=0)\n"
        "    print(cross_val_score(RandomForestClassifier(20, n_jobs=2), x, y, cv=2, n_jobs=2).mean() > 0.5)"
    ),
    "multiprocessing Pool": (
        "import multiprocessing as m\n"
        "def square(k): return k * k\n"
        "if __name__ == '__main__':\n"
        "    for how in ('fork', 'spawn', 'forkserver'):\n"
        "        with m.get_context(how).Pool(2) as pool: print(sum(pool.map(square, range(10))))"
    ),
    "multiprocessing Manager": (
        "import multiprocessing as m\n"
        "def note(d, k): d[k] = k\n"
        "if __name__ == '__main__':\n"
        "    with m.Manager() as manager:\n"
        "        d = manager.dict()\n"
        "        workers = [m.Process(target=note, args=(d, k)) for k in range(3)]\n"
        "        [w.start() for w in workers]; [w.join() for w in workers]\n"
        "        print(sorted(d.items()))"
    ),
    "shared memory and locks": (
        "import multiprocessing as m\n"
        "from multiprocessing import shared_memory\n"
        "s = shared_memory.SharedMemory(create=True, size=1000); s.buf[0] = 7; s.close(); s.unlink()\n"
        "q = m.Queue(); q.put(1); print(q.get())"
    ),
    "loky": (
        "from joblib import Parallel, delayed\n"
        "def square(k): return k * k\n"
        "if __name__ == '__main__':\n"
        "    print(sum(Parallel(n_jobs=2, backend='loky')(delayed(square)(k) for k in range(10))))"
    ),
    "asyncio": (
        "import asyncio\n"
        "async def serve(r, w): w.write(await r.readline()); await w.drain(); w.close()\n"
        "async def go():\n"
        "    server = await asyncio.start_unix_server(serve, 's')\n"
        "    r, w = await asyncio.open_unix_connection('s'); w.write(b'x\\n'); print(await r.readline())\n"
        "    p = await asyncio.create_subprocess_exec('/bin/echo', 'y', stdout=-1); print(await p.communicate())\n"
        "asyncio.run(go())"
    ),
    "files": (
        "import os, pathlib, shutil, tempfile\n"
        "p = pathlib.Path('a'); p.write_text('x'); shutil.copy2('a', 'b'); p.chmod(0o600); os.utime('a', (1, 1))\n"
        "os.fchmod(os.open('b', os.O_RDONLY), 0o640)\n"
        "print(oct(os.stat('a').st_mode & 0o777), os.stat('a').st_mtime, oct(os.stat('b').st_mode & 0o777))\n"
        "print(tempfile.TemporaryFile().write(b'x'))"
    ),
}


WITH_LOKY = ("scikit-learn with n_jobs", "loky")


@pytest.mark.parametrize("name", PROGRAMS)
def test_library_works(wall: Jail, name: str, tmp_path: Path) -> None:
    work, program = tmp_path / "w", tmp_path / "program.py"
    work.mkdir()
    # Names of sockets have to fit in 108 bytes, and pytest's folders are long.
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(work), "TMPDIR": "/dev/shm", "OMP_NUM_THREADS": "2"}
    if wall.name == "landlock" and name in WITH_LOKY:
        # Its `gaps` name that loky does not work with psutil: as in an environment that has none.
        (work / "psutil.py").write_text("raise ImportError\n")
        environment["PYTHONPATH"] = str(work)
    program.write_text(PROGRAMS[name])
    outcome = wall.run(
        Command(
            argv=(sys.executable, str(program)),
            cwd=work,
            log=tmp_path / "log",
            limits=Limits(seconds=120, memory_bytes=4 << 30, processes=256, file_bytes=1 << 30, disk_bytes=1 << 30),
            mounts=(Mount(work, writable=True), Mount(program), Mount(Path(sys.prefix))),
            environment=environment,
        )
    )
    assert outcome.exit_status == 0, (tmp_path / "log").read_text()
