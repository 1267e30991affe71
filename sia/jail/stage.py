"""The last program before the generated one: shuts the doors that a process can shut behind itself, then becomes it.

Run inside the jail as `python -I -S stage.py CONFIG ARGV...`, CONFIG being the JSON of a `Confinement`. Landlock limits
files (kernel documentation, userspace-api/landlock), seccomp system calls (seccomp(2)). Standard library only: it has
to start in milliseconds.
"""

import ctypes
import json
import os
import platform
import socket
import struct
import sys
from dataclasses import asdict, dataclass

LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
EPERM, ENOSYS, EAFNOSUPPORT = 1, 38, 97

LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
TRUNCATE, IOCTL_DEV = 1 << 14, 1 << 15
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
READ = EXECUTE | READ_FILE | READ_DIR
# Access rights by ABI: 13 at first, then refer, truncate, (network), ioctl_dev.
RIGHTS_BY_ABI = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# System call numbers: (x86-64, aarch64), None where it does not exist.
DENIED: dict[str, tuple[int | None, int | None]] = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218), "pidfd_getfd": (438, 438),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "personality": (135, 92),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "unshare": (272, 97),
    "setns": (308, 268), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264), "quotactl": (179, 60),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105),
    "finit_module": (313, 273), "delete_module": (176, 106), "swapon": (167, 224), "swapoff": (168, 225),
    "reboot": (169, 142), "acct": (163, 89), "syslog": (103, 116), "settimeofday": (164, 170),
    "clock_settime": (227, 112), "adjtimex": (159, 171), "clock_adjtime": (305, 266), "iopl": (172, None),
    "ioperm": (173, None), "modify_ldt": (154, None), "uselib": (134, None), "sethostname": (170, 161),
    "setdomainname": (171, 162),
}  # fmt: skip
# Refused as if the kernel did not have them, so that libraries fall back.
UNKNOWN: dict[str, tuple[int, int]] = {
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "clone3": (435, 435),
}
SOCKET, CONNECT, CLONE, IOCTL = (41, 198), (42, 203), (56, 220), (16, 29)
CLONE_NEW = 0x7E020000
FIRST_ARGUMENT, SECOND_ARGUMENT = 16, 24
TERMINAL_INPUT = (0x5412, 0x541C)
AF_UNIX, AF_INET, AF_INET6 = 1, 2, 10
X32 = 0x40000000


@dataclass(frozen=True)
class Confinement:
    """What is left open."""

    read: tuple[str, ...]
    """Files and folders that can be read and executed."""
    write: tuple[str, ...]
    """Files and folders that can be changed as well."""
    sockets: tuple[int, ...] = (AF_UNIX, AF_INET, AF_INET6)
    """Address families; harmless where the network namespace is the jail's own."""
    connect: bool = True
    """Whether connect() is allowed at all."""
    gateway: str = ""
    """Text in the environment that becomes the address of a listener, handed out on standard input; empty: none."""

    def to_json(self) -> str:
        """For the command line of this program."""
        return json.dumps(asdict(self))


def landlock_abi() -> int:
    """The kernel's Landlock version; 0 where there is none."""
    version = LIBC.syscall(LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    return max(0, int(version))


def restrict_files(config: Confinement) -> bool:
    """Applies Landlock; False where the kernel has none. Raises OSError when it refuses."""
    abi = landlock_abi()
    if not abi:
        return False
    handled = (1 << RIGHTS_BY_ABI.get(abi, 16)) - 1
    attributes = struct.pack("=QQQ", handled, 0, 3 if abi >= 6 else 0)[: 24 if abi >= 6 else 8]
    ruleset = _checked(LIBC.syscall(LANDLOCK_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0))
    for rights, paths in ((READ, config.read), (handled, config.write)):
        for path in paths:
            _allow(ruleset, path, rights & handled)
    _checked(LIBC.syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)
    return True


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        target = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    if not os.path.isdir(path):  # noqa: PTH112 - pathlib takes milliseconds to import
        rights &= OF_FILES
    try:
        rule = struct.pack("=Qi", rights, target)
        _checked(LIBC.syscall(LANDLOCK_ADD_RULE, ruleset, 1, rule, 0))
    finally:
        os.close(target)


def restrict_calls(config: Confinement) -> None:
    """Applies the seccomp filter. Raises OSError when the kernel refuses, or for a machine without a table."""
    program = seccomp_program(platform.machine(), config)
    code = ctypes.create_string_buffer(program, len(program))
    descriptor = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    _checked(LIBC.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, descriptor, 0, 0))


def seccomp_program(machine: str, config: Confinement) -> bytes:
    """The filter in classic BPF: eight bytes an instruction (code, jump if true, jump if false, operand)."""
    if machine not in ARCHITECTURES:
        raise OSError(f"no system call table for {machine}")
    column = list(ARCHITECTURES).index(machine)
    load, jump_equal, jump_at_least, jump_bits, give = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, kill, errno = 0x7FFF0000, 0x80000000, 0x00050000
    steps = [(load, 0, 0, 4), (jump_equal, 1, 0, ARCHITECTURES[machine]), (give, 0, 0, kill), (load, 0, 0, 0)]
    if machine == "x86_64":
        steps += [(jump_at_least, 0, 1, X32), (give, 0, 0, errno | ENOSYS)]
    for table, error in ((DENIED, EPERM), (UNKNOWN, ENOSYS)):
        for numbers in table.values():
            number = numbers[column]
            if number is not None:
                steps += [(jump_equal, 0, 1, number), (give, 0, 0, errno | error)]
    if not config.connect:
        steps += [(jump_equal, 0, 1, CONNECT[column]), (give, 0, 0, errno | EPERM)]
    steps += [(jump_equal, 0, 4, CLONE[column]), (load, 0, 0, FIRST_ARGUMENT)]
    steps += [(jump_bits, 0, 1, CLONE_NEW), (give, 0, 0, errno | EPERM), (give, 0, 0, allow)]
    for call, argument, values, inside, outside in (
        (IOCTL, SECOND_ARGUMENT, TERMINAL_INPUT, errno | EPERM, allow),
        (SOCKET, FIRST_ARGUMENT, config.sockets, allow, errno | EAFNOSUPPORT),
    ):
        steps += [(jump_equal, 0, len(values) + 3, call[column]), (load, 0, 0, argument)]
        steps += [(jump_equal, len(values) - k, 0, value) for k, value in enumerate(values)]
        steps += [(give, 0, 0, outside), (give, 0, 0, inside)]
    steps += [(give, 0, 0, allow)]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def confine(config: Confinement) -> None:
    """Shuts the doors. Raises OSError when one of them stays open."""
    _checked(LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    # No capabilities, and with the line above none can come back (capabilities(7)).
    _checked(LIBC.capset(struct.pack("=Ii", 0x20080522, 0), bytes(24)))
    restrict_files(config)
    restrict_calls(config)


def hand_out_listener(placeholder: str) -> None:
    """Opens a listener, puts its address into the environment, and waits until the orchestrator has it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        for name, value in os.environ.items():
            os.environ[name] = value.replace(placeholder, address)
        hand_out(listener.fileno())


def hand_out(descriptor: int) -> None:
    """Sends a descriptor to the other end of standard input, waits until it was taken, and lets go of that end."""
    with socket.socket(fileno=0) as channel:
        socket.send_fds(channel, [b"\0"], [descriptor])
        if not channel.recv(1):
            raise OSError("the orchestrator is gone")
    # Descriptor 0 is free: the lowest one is what open() gives.
    os.set_inheritable(os.open("/dev/null", os.O_RDONLY), True)


def main() -> None:
    """Confines this process and becomes ARGV."""
    fields = json.loads(sys.argv[1])
    config = Confinement(
        tuple(fields["read"]),
        tuple(fields["write"]),
        tuple(fields["sockets"]),
        bool(fields["connect"]),
        str(fields["gateway"]),
    )
    try:
        if config.gateway:
            hand_out_listener(config.gateway)
        confine(config)
        os.execv(sys.argv[2], sys.argv[2:])
    except OSError as error:
        print(f"jail: {sys.argv[2]}: {error.strerror or error}", file=sys.stderr)
        sys.exit(126)


if __name__ == "__main__":
    main()
