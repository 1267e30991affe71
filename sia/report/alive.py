"""Whether a process is working on a run."""

import fcntl
import os
from pathlib import Path

from sia.store.run_directory import LOCK_FILE


def is_owned(path: Path) -> bool:
    """Whether some process holds the lock of the run directory `path`. Takes nothing and leaves nothing."""
    try:
        descriptor = os.open(path / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        # Shared, and given back at once: readers do not disturb each other.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False
