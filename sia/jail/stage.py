"""The last program before the generated one: shuts the doors that a process can shut behind itself, then becomes it.

Run inside the jail as `python -I -S stage.py CONFIG ARGV...`, CONFIG being the text of a `Confinement`. Landlock limits
files (kernel documentation, userspace-api/landlock), seccomp system calls (seccomp(2)). Standard library only: it has
to start in milliseconds.
"""

import _socket
import ctypes
import marshal
import os
import struct
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_NO_NEW_PRIVS = 38
SECCOMP, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER = (317, 277), 1, 8
EPERM, ENOSYS, ENOPROTOOPT, ENOTSUP, EAFNOSUPPORT = 1, 38, 92, 95, 97

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
SOCKET, SOCKETPAIR, CONNECT, LISTEN = (41, 198), (53, 199), (42, 203), (50, 201)
SENDTO, SENDMSG, SENDMMSG, SETSOCKOPT = (44, 206), (46, 211), (307, 269), (54, 208)
CLONE, IOCTL = (56, 220), (16, 29)
NONE = 0xFFFFFFFF
"""No system call: aarch64 lacks some that others replace."""
CHMOD, FCHMOD, FCHMODAT, FCHMODAT2 = (90, NONE), (91, 52), (268, 53), (452, 452)
UTIMENSAT, UTIME, UTIMES, FUTIMESAT = (280, 88), (132, NONE), (235, NONE), (261, NONE)
OWNERS = ((92, NONE), (93, 55), (94, NONE), (260, 54))
SETPRIORITY, IOPRIO_SET = (141, 140), (251, 30)
# Scheduler, affinity, parameters, attributes, limits: of the process that the first argument names.
OF_A_PROCESS = ((144, 119), (203, 122), (142, 118), (314, 274), (302, 261))
ATTRIBUTES = ((188, 5), (189, 6), (190, 7), (197, 14), (198, 15), (199, 16), (463, 463), (466, 466))
CLONE_NEW = 0x7E020000
TERMINAL_INPUT = (0x5412, 0x541C)
AF_UNIX, AF_INET, AF_INET6 = 1, 2, 10
STREAM, SEQPACKET, KIND_OF_SOCKET = 1, 5, 0xF
TCP, FAST_OPEN, OF_INTERFACES = 6, 0x20000000, 0x8900
X32 = 0x40000000

ALLOW, KILL, ERRNO, NOTIFY = 0x7FFF0000, 0x80000000, 0x00050000, 0x7FC00000
ALL_BITS = 0xFFFFFFFF


# System V IPC and message queues (shm*, sem*, msg*, mq_*): neither files nor sockets, and open to the user's programs.
IPC = (
    (29, 194), (30, 196), (31, 195), (67, 197), (64, 190), (65, 193), (66, 191), (220, 192), (68, 186), (69, 189),
    (70, 188), (71, 187), (240, 180), (241, 181), (242, 182), (243, 183), (244, 184), (245, 185),
)  # fmt: skip


# What to do with a system call whose arguments, masked, are each among some values: its numbers on x86-64 and aarch64,
# the result, and index, mask and values of each argument. The lower 32 bits count, as they do for the kernel.
Rule = tuple[tuple[int, int], int, tuple[tuple[int, int, tuple[int, ...]], ...]]


def _rule(call: tuple[int, int], result: int, *arguments: tuple[int, int, tuple[int, ...]]) -> Rule:
    return call, result, arguments


ALWAYS: tuple[Rule, ...] = (
    _rule(CLONE, ALLOW, (0, CLONE_NEW, (0,))),
    _rule(CLONE, ERRNO | EPERM),
    _rule(IOCTL, ERRNO | EPERM, (1, ALL_BITS, TERMINAL_INPUT)),
)
# Where the network is the jail's own, any address is harmless; other families hold surprises.
OWN_NETWORK: tuple[Rule, ...] = (
    _rule(SOCKET, ALLOW, (0, ALL_BITS, (AF_UNIX, AF_INET, AF_INET6))),
    _rule(SOCKET, ERRNO | EAFNOSUPPORT),
)
# Where it is the machine's: streams only, and what they connect to is up to the orchestrator. So are the modes and
# times of files, which Landlock does not know.
SHARED_NETWORK: tuple[Rule, ...] = (
    _rule(SOCKET, ALLOW, (0, ALL_BITS, (AF_UNIX,)), (1, KIND_OF_SOCKET, (STREAM, SEQPACKET))),
    _rule(SOCKET, ALLOW, (0, ALL_BITS, (AF_INET,)), (1, KIND_OF_SOCKET, (STREAM,)), (2, ALL_BITS, (0, TCP))),
    _rule(SOCKET, ERRNO | EAFNOSUPPORT),
    _rule(SOCKETPAIR, ALLOW, (0, ALL_BITS, (AF_UNIX,)), (1, KIND_OF_SOCKET, (STREAM, SEQPACKET))),
    _rule(SOCKETPAIR, ERRNO | EAFNOSUPPORT),
    *(_rule(call, NOTIFY) for call in (CONNECT, LISTEN, CHMOD, FCHMOD, FCHMODAT, FCHMODAT2, UTIMENSAT)),
    *(_rule(call, ERRNO | ENOSYS) for call in (UTIME, UTIMES, FUTIMESAT)),
    *(_rule(call, ERRNO | ENOSYS) for call in IPC),
    *(_rule(call, ERRNO | EPERM) for call in OWNERS),
    *(_rule(call, ERRNO | ENOTSUP) for call in ATTRIBUTES),
    # Landlock knows signals; what else can be done to the user's other processes is for the caller's own only: who 0.
    *(_rule(call, ALLOW, (0, ALL_BITS, (0,))) for call in OF_A_PROCESS),
    *(_rule(call, ERRNO | EPERM) for call in OF_A_PROCESS),
    _rule(SETPRIORITY, ALLOW, (0, ALL_BITS, (0,)), (1, ALL_BITS, (0,))),
    _rule(IOPRIO_SET, ALLOW, (0, ALL_BITS, (1,)), (1, ALL_BITS, (0,))),
    *(_rule(call, ERRNO | EPERM) for call in (SETPRIORITY, IOPRIO_SET)),
    # Sending can connect as well; and options of IP could lead a connection to the gateway elsewhere.
    _rule(SENDTO, ERRNO | EPERM, (3, FAST_OPEN, (FAST_OPEN,))),
    _rule(SENDMSG, ERRNO | EPERM, (2, FAST_OPEN, (FAST_OPEN,))),
    _rule(SENDMMSG, ERRNO | EPERM, (3, FAST_OPEN, (FAST_OPEN,))),
    _rule(SETSOCKOPT, ERRNO | ENOPROTOOPT, (1, ALL_BITS, (0,))),
    _rule(IOCTL, ERRNO | EPERM, (1, 0xFFFFFF00, (OF_INTERFACES,))),
)


class Confinement:
    """What is left open. No dataclass and no JSON: to import those takes longer than all that this program does."""

    def __init__(
        self,
        read: tuple[str, ...],
        write: tuple[str, ...],
        supervised: bool = False,
        gateway: str = "",
        door: str = "",
    ) -> None:
        self.read = read
        """Files and folders that can be read and executed."""
        self.write = write
        """Files and folders that can be changed as well."""
        self.supervised = supervised
        """The network is the machine's: the orchestrator answers connect() and listen()."""
        self.gateway = gateway
        """Text in the environment that becomes the address of a listener, handed out on standard input; empty: none."""
        self.door = door
        """Path of a socket to hand it out at, where standard input does not lead to the orchestrator."""

    def to_text(self) -> str:
        """For the command line of this program, run by the interpreter that runs this."""
        return marshal.dumps((self.read, self.write, self.supervised, self.gateway, self.door)).hex()


def from_text(text: str) -> Confinement:
    """What `to_text` told."""
    return Confinement(*marshal.loads(bytes.fromhex(text)))


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
    # bind() and connect() of TCP from version 4, abstract sockets and signals from version 6.
    network = 3 if config.supervised and abi >= 4 else 0
    attributes = struct.pack("=QQQ", handled, network, 3)[: 24 if abi >= 6 else 16 if abi >= 4 else 8]
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


def restrict_calls(config: Confinement) -> int:
    """Applies the seccomp filter; returns the descriptor on which a supervisor is asked, 0 without one.

    Raises OSError when the kernel refuses, or for a machine without a table.
    """
    column = _column(os.uname().machine)
    program = seccomp_program(column, ALWAYS + (SHARED_NETWORK if config.supervised else OWN_NETWORK))
    code = ctypes.create_string_buffer(program, len(program))
    descriptor = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    flags = SECCOMP_FILTER_FLAG_NEW_LISTENER if config.supervised else 0
    return _checked(LIBC.syscall(SECCOMP[column], SECCOMP_SET_MODE_FILTER, flags, descriptor))


def _column(machine: str) -> int:
    if machine not in ARCHITECTURES:
        raise OSError(f"no system call table for {machine}")
    return list(ARCHITECTURES).index(machine)


def seccomp_program(column: int, rules: tuple[Rule, ...]) -> bytes:
    """The filter in classic BPF: eight bytes an instruction (code, jump if true, jump if false, operand)."""
    load, keep_bits, jump_equal, jump_at_least, give = 0x20, 0x54, 0x15, 0x35, 0x06
    steps = [(load, 0, 0, 4), (jump_equal, 1, 0, list(ARCHITECTURES.values())[column]), (give, 0, 0, KILL)]
    steps += [(load, 0, 0, 0)]
    if column == 0:
        steps += [(jump_at_least, 0, 1, X32), (give, 0, 0, ERRNO | ENOSYS)]
    for table, error in ((DENIED, EPERM), (UNKNOWN, ENOSYS)):
        for numbers in table.values():
            number = numbers[column]
            if number is not None:
                steps += [(jump_equal, 0, 1, number), (give, 0, 0, ERRNO | error)]
    for call, result, arguments in rules:
        # From the end: each test that fails jumps over all that follow it.
        block = [(give, 0, 0, result)]
        for index, mask, values in reversed(arguments):
            tests = [(jump_equal, len(values) - 1 - k, 0, value) for k, value in enumerate(values)]
            tests[-1] = (jump_equal, 0, len(block), values[-1])
            block = [(load, 0, 0, 16 + 8 * index), (keep_bits, 0, 0, mask), *tests, *block]
        steps += [(load, 0, 0, 0), (jump_equal, 0, len(block), call[column]), *block]
    steps += [(give, 0, 0, ALLOW)]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def confine(config: Confinement) -> int:
    """Shuts the doors; returns what `restrict_calls` does. Raises OSError when one of them stays open."""
    _checked(LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    # No capabilities, and with the line above none can come back (capabilities(7)).
    _checked(LIBC.capset(struct.pack("=Ii", 0x20080522, 0), bytes(24)))
    restrict_files(config)
    return restrict_calls(config)


def hand_out_listener(placeholder: str, door: str) -> None:
    """Opens a listener, puts its address into the environment, and waits until the orchestrator has it."""
    listener = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    for name, value in os.environ.items():
        os.environ[name] = value.replace(placeholder, address)
    hand_out(listener.fileno(), door)
    listener.close()


def hand_out(descriptor: int, door: str = "") -> None:
    """Sends a descriptor to the other end of standard input, waits until it was taken, and lets go of that end."""
    if door:
        os.close(0)
        channel = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        channel.connect(door)
    else:
        channel = _socket.socket(fileno=0)
    channel.sendmsg([b"\0"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("=i", descriptor))])
    if not channel.recv(1):
        raise OSError("the orchestrator is gone")
    channel.close()
    # Descriptor 0 is free: the lowest one is what open() gives.
    os.set_inheritable(os.open("/dev/null", os.O_RDONLY), True)


def main() -> None:
    """Confines this process and becomes ARGV."""
    config = from_text(sys.argv[1])
    try:
        if config.gateway:
            hand_out_listener(config.gateway, config.door)
        asking = confine(config)
        if asking:
            hand_out(asking)
            os.close(asking)
        os.execv(sys.argv[2], sys.argv[2:])
    except OSError as error:
        print(f"jail: {sys.argv[2]}: {error.strerror or error}", file=sys.stderr)
        sys.exit(126)


if __name__ == "__main__":
    main()
