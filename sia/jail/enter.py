"""Makes namespaces with a root of its own and runs a command as their only tenant, where bubblewrap is missing.

Run as `python -I -S enter.py LAYOUT ARGV...`, LAYOUT being the text of a `Layout`. See user_namespaces(7),
pivot_root(2), mount(2). Standard library only: it has to start in milliseconds.
"""

import _socket
import ctypes
import fcntl
import marshal
import os
import struct
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_ALL = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = (
    1,
    2,
    4,
    8,
    32,
    4096,
    16384,
    1 << 18,
)
KEPT_FLAGS = MS_NOSUID | MS_NODEV | MS_NOEXEC
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 1, 24, 47, 4
LAST_CAPABILITY = 63
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
TYPE_OF_FILE, CHARACTER_DEVICE, SIGKILL = 0o170000, 0o020000, 9
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
NEW_ROOT = "/tmp"
OWN_ID = 1000


class Layout:
    """What the new root holds. No dataclass, for the reason that `sia.jail.stage` gives."""

    def __init__(
        self,
        binds: tuple[tuple[str, str, bool], ...],
        links: tuple[tuple[str, str], ...],
        temporary_bytes: int,
        cwd: str,
    ) -> None:
        self.binds = binds
        """Path outside, path inside, writable; outer folders first."""
        self.links = links
        """Target and place of symbolic links."""
        self.temporary_bytes = temporary_bytes
        """Size of /tmp and of /dev/shm."""
        self.cwd = cwd

    def to_text(self) -> str:
        """For the command line of this program, run by the interpreter that runs this."""
        return marshal.dumps((self.binds, self.links, self.temporary_bytes, self.cwd)).hex()


def mount(source: str, target: str, kind: str | None = None, flags: int = 0, options: str = "") -> None:
    """mount(2). Raises OSError that names the target."""
    kind_bytes = kind.encode() if kind else None
    if LIBC.mount(source.encode(), target.encode(), kind_bytes, ctypes.c_ulong(flags), options.encode() or None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


def enter_namespaces() -> None:
    """Leaves all namespaces of the caller; its user becomes an ordinary one."""
    user, group = os.geteuid(), os.getegid()
    _checked(LIBC.unshare(CLONE_ALL), "unshare")
    for name, content in (
        ("setgroups", "deny"),
        ("uid_map", f"{OWN_ID} {user} 1"),
        ("gid_map", f"{OWN_ID} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123 - pathlib takes milliseconds to import
            file.write(content)


def build_root(layout: Layout) -> None:
    """Mounts the new root and makes it the only one."""
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    # Opened before the new root covers what lies under it.
    sources = [os.open(source, os.O_PATH | os.O_CLOEXEC) for source, _, _ in layout.binds]
    devices = {name: os.open(f"/dev/{name}", os.O_PATH | os.O_CLOEXEC) for name in DEVICES}
    mount("tmpfs", NEW_ROOT, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=16m")
    for folder in ("proc", "dev", "tmp", "etc"):
        os.mkdir(f"{NEW_ROOT}/{folder}")  # noqa: PTH102
    size = f"size={layout.temporary_bytes}"
    mount("tmpfs", f"{NEW_ROOT}/dev", "tmpfs", MS_NOSUID, "mode=755,size=1m")
    os.mkdir(f"{NEW_ROOT}/dev/shm")  # noqa: PTH102
    mount("tmpfs", f"{NEW_ROOT}/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, size)
    mount("tmpfs", f"{NEW_ROOT}/tmp", "tmpfs", MS_NOSUID | MS_NODEV, size)
    mount("proc", f"{NEW_ROOT}/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    for name, descriptor in devices.items():
        _bind(descriptor, f"{NEW_ROOT}/dev/{name}", True, keep=0)
    os.mkdir(f"{NEW_ROOT}/dev/pts")  # noqa: PTH102
    # Terminals of its own (devpts(5)): terminal multiplexers and shells of agents need them.
    mount("devpts", f"{NEW_ROOT}/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620")
    links = (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2"), ("ptmx", "pts/ptmx"))
    for name, target in links:
        os.symlink(target, f"{NEW_ROOT}/dev/{name}")  # noqa: PTH211
    for target, place in layout.links:
        os.symlink(target, NEW_ROOT + place)  # noqa: PTH211
    for descriptor, (_, inside, writable) in zip(sources, layout.binds, strict=True):
        device = os.fstat(descriptor).st_mode & TYPE_OF_FILE == CHARACTER_DEVICE
        _bind(descriptor, NEW_ROOT + inside, writable, keep=MS_NOSUID | (0 if device else MS_NODEV))
        os.close(descriptor)
    for descriptor in devices.values():
        os.close(descriptor)
    os.chdir(NEW_ROOT)
    _checked(LIBC.pivot_root(b".", b"."), "pivot_root")
    _checked(LIBC.umount2(b".", MNT_DETACH), "umount")
    os.chdir("/")
    mount("none", "/", flags=MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV)


def _bind(descriptor: int, target: str, writable: bool, keep: int) -> None:
    source = f"/proc/self/fd/{descriptor}"
    if os.path.isdir(source):  # noqa: PTH112
        os.makedirs(target, exist_ok=True)  # noqa: PTH103
    elif not os.path.exists(target):  # noqa: PTH110
        os.makedirs(os.path.dirname(target), exist_ok=True)  # noqa: PTH103, PTH120
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    mount(source, target, flags=MS_BIND | MS_REC)
    # Flags that the outer mount has are locked: a remount without them is refused.
    locked = os.statvfs(target).f_flag & (KEPT_FLAGS | MS_RDONLY)
    mount("none", target, flags=MS_REMOUNT | MS_BIND | keep | locked | (0 if writable else MS_RDONLY))


def raise_loopback() -> None:
    """Brings up the interface `lo` of the jail's own network (netdevice(7))."""
    control = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
    request = struct.pack("16sh14x", b"lo", 0)
    flags = struct.unpack_from("16xh", fcntl.ioctl(control.fileno(), SIOCGIFFLAGS, request))[0]
    fcntl.ioctl(control.fileno(), SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))
    control.close()


def drop_capabilities() -> None:
    """Gives up all capabilities for ever (capabilities(7))."""
    for capability in range(LAST_CAPABILITY + 1):
        if LIBC.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break
    LIBC.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    header = struct.pack("=Ii", 0x20080522, 0)
    _checked(LIBC.capset(header, bytes(24)), "capset")


def tend(child: int) -> int:
    """As process 1 of the jail: collects the dead; the exit status of `child` once it ended, 128 + n for signal n."""
    while True:
        ended, status = os.wait()
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def _die_with_parent() -> None:
    LIBC.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)


def first_process(layout: Layout, argv: list[str]) -> int:
    """What process 1 of the jail does; returns its exit status."""
    _die_with_parent()
    raise_loopback()
    build_root(layout)
    _socket.sethostname("jail")
    os.setsid()
    drop_capabilities()
    child = os.fork()
    if child == 0:
        os.chdir(layout.cwd)
        os.execv(argv[0], argv)
    return tend(child)


def main() -> None:
    """Runs ARGV in the namespaces and ends as it ended."""
    layout = Layout(*marshal.loads(bytes.fromhex(sys.argv[1])))
    _die_with_parent()
    try:
        enter_namespaces()
        child = os.fork()
        if child == 0:
            os._exit(first_process(layout, sys.argv[2:]))
    except OSError as error:
        print(f"jail: {error.filename or ''}: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(126)
    os._exit(tend(child))


if __name__ == "__main__":
    main()
