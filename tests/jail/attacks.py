"""Attacks on the jail, each a small program. It prints REACHED when it got what it went for.

The names that a program may use are in `PREAMBLE`; `Scene` in the test says what they stand for. `except_on` names the
backends whose gaps admit the attack; `needs` says what a machine must give for the attack to succeed without a jail.
"""

from dataclasses import dataclass

LEADER_ENDS = "ctypes.CDLL(None).syscall(60 if platform.machine() == 'x86_64' else 93, 0)"
"""Ends the calling thread alone (exit(2)): a process whose first thread that was reads as a zombie, and works on."""
PREAMBLE = """
import ctypes, fcntl, mmap, os, pathlib, signal, socket, struct, subprocess, sys, time
(secret, public, environment, outside, work, bystander, tcp4, tcp6, udp, abstract, path_socket, path_datagram,
 listening) = sys.argv[1:14]
bystander = int(bystander)
port = int(os.environ["GATEWAY"].rpartition(":")[2])
libc = ctypes.CDLL(None, use_errno=True)
WORD = "held-out answer"

def reached(truth=True):
    if truth:
        print("REACHED", flush=True)

def reads(path):
    with open(path) as file:
        reached(WORD in file.read())

def call(number, *arguments):
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result

def connects(family, kind, address, protocol=0):
    with socket.socket(family, kind, protocol) as s:
        s.settimeout(1)
        s.connect(address)
        reached(s.recv(5) == b"hello")

def processes():
    return [int(n) for n in os.listdir("/proc") if n.isdigit()]

def any_process(read):
    for number in processes():
        try:
            if read(number):
                return reached()
        except OSError:
            pass
"""


@dataclass(frozen=True)
class Attack:
    """One attack."""

    family: str
    name: str
    code: str
    except_on: tuple[str, ...] = ()
    needs: str = ""

    def __str__(self) -> str:
        return f"{self.family}: {self.name}"


def _family(name: str, **attacks: str) -> list[Attack]:
    return [Attack(name, key.replace("_", " "), code) for key, code in attacks.items()]


ATTACKS = [
    *_family(
        "private data",
        absolute_path="reads(secret)",
        relative_path="reads(os.path.relpath(secret))",
        path_with_detours="reads(work + '/../' * 40 + secret.lstrip('/'))",
        symbolic_link="os.symlink(secret, work + '/link'); reads(work + '/link')",
        link_to_its_folder="os.symlink(os.path.dirname(secret), work + '/link'); reads(work + '/link/answers.txt')",
        hard_link="os.link(secret, work + '/hard'); reads(work + '/hard')",
        rename="os.rename(secret, work + '/mine'); reads(work + '/mine')",
        exchange="pathlib.Path(work, 'x').touch(); call(316, -100, secret.encode(), -100, (work + '/x').encode(), 2); "
        "reads(work + '/x')",
        root_of_self="reads('/proc/self/root' + secret)",
        root_of_any_process="any_process(lambda n: WORD in open(f'/proc/{n}/root{secret}').read())",
        cwd_of_any_process="any_process(lambda n: WORD in open(f'/proc/{n}/cwd/answers.txt').read())",
        reopened_path_descriptor="reads(f'/proc/self/fd/{os.open(secret, os.O_PATH)}')",
        descriptor_of_any_process="any_process(lambda n: any(WORD in open(f'/proc/{n}/fd/{f}').read() "
        "for f in os.listdir(f'/proc/{n}/fd') if os.path.realpath(f'/proc/{n}/fd/{f}') == secret))",
        copied_into_the_working_folder="reached(os.system(f'cp -r {os.path.dirname(secret)} {work}/copy') == 0)",
        link_followed_by_a_rename="os.symlink(os.path.dirname(secret), work + '/l'); "
        "os.rename(work + '/l', work + '/m'); reads(work + '/m/answers.txt')",
        memory_map="reached(WORD.encode() in mmap.mmap(os.open(secret, os.O_RDONLY), 0, prot=mmap.PROT_READ)[:])",
        another_program="reached(WORD in subprocess.run(['/bin/cat', secret], capture_output=True, text=True).stdout)",
        listing="reached('answers.txt' in os.listdir(os.path.dirname(secret)))",
        as_interpreter_script="reached(subprocess.run(['/bin/sh', secret], capture_output=True).returncode == 127 "
        "and b'held-out' in subprocess.run(['/bin/sh', secret], capture_output=True).stderr)",
    ),
    Attack(
        "private data",
        "root of process one",
        "reads('/proc/1/root' + secret)",
        needs="a process 1 that may be traced",
    ),
    *_family(
        "other processes",
        environment="any_process(lambda n: b'BYSTANDER_KEY=' in open(f'/proc/{n}/environ', 'rb').read())",
        descriptors="any_process(lambda n: n == bystander and os.listdir(f'/proc/{n}/fd'))",
        memory="maps = open(f'/proc/{bystander}/maps').read(); place = int(next(l for l in maps.splitlines() "
        "if '[stack]' in l).split('-')[0], 16); f = open(f'/proc/{bystander}/mem', 'rb'); f.seek(place); "
        "reached(len(f.read(4096)) == 4096)",
        attach_to_it="libc.ptrace.restype = ctypes.c_long; reached(libc.ptrace(16, bystander, 0, 0) == 0)",
        memory_in_one_call="maps = open(f'/proc/{bystander}/maps').read(); "
        "place = int(next(l for l in maps.splitlines() if '[stack]' in l).split('-')[0], 16); "
        "b = ctypes.create_string_buffer(64); mine = struct.pack('QQ', ctypes.addressof(b), 64); "
        "reached(call(310, bystander, mine, 1, struct.pack('QQ', place, 64), 1, 0) == 64)",
        seize_it="reached(libc.ptrace(0x4206, bystander, 0, 0) == 0)",
        signal_it="os.kill(bystander, signal.SIGCONT); reached()",
        signal_its_group="os.killpg(bystander, signal.SIGCONT); reached()",
        take_its_descriptor="reached(call(438, os.pidfd_open(bystander), 0, 0) >= 0)",
        compare_with_it="reached(call(312, os.getpid(), bystander, 1, 0, 0) >= 0)",
        limits_of_it="import resource; resource.prlimit(bystander, resource.RLIMIT_NOFILE, (50, 50)); reached()",
        processors_of_it="os.sched_setaffinity(bystander, {0}); reached()",
        priority="os.setpriority(os.PRIO_PROCESS, bystander, 19); reached()",
        command_line="any_process(lambda n: n == bystander and open(f'/proc/{n}/cmdline').read())",
    ),
    Attack("other processes", "descriptor for it", "reached(os.pidfd_open(bystander) >= 0)", ("landlock",)),
    *_family(
        "network",
        tcp="connects(socket.AF_INET, socket.SOCK_STREAM, ('127.0.0.1', int(tcp4)))",
        tcp_over_ipv6="connects(socket.AF_INET6, socket.SOCK_STREAM, ('::1', int(tcp6)))",
        fast_open="s = socket.socket(); s.sendto(b'x', 0x20000000, ('127.0.0.1', int(tcp4))); "
        "reached(s.recv(5) == b'hello')",
        tcp_over_mapped_ipv6="connects(socket.AF_INET6, socket.SOCK_STREAM, ('::ffff:127.0.0.1', int(tcp4)))",
        fast_open_by_message="s = socket.socket(); s.sendmsg([b'x'], [], 0x20000000, ('127.0.0.1', int(tcp4))); "
        "reached(s.recv(5) == b'hello')",
        fast_open_by_option="s = socket.socket(); s.setsockopt(6, 30, 1); s.connect(('127.0.0.1', int(tcp4))); "
        "s.send(b'x'); reached(s.recv(5) == b'hello')",
        connect_without_blocking="s = socket.socket(); s.setblocking(False); s.connect_ex(('127.0.0.1', int(tcp4))); "
        "time.sleep(0.2); reached(s.recv(5) == b'hello')",
        udp_by_message="s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(1); "
        "s.sendmsg([b'ping'], [], 0, ('127.0.0.1', int(udp))); reached(s.recv(5) == b'hello')",
        address_changed_after_the_check="m = mmap.mmap(-1, 4096); mine, other = (struct.pack('!H', p) for p in "
        "(port, int(tcp4))); m[:8] = struct.pack('=H', 2) + mine + bytes([127, 0, 0, 1])\n"
        "if os.fork() == 0:\n    while True: m[2:4] = other; m[2:4] = mine\n"
        "address = ctypes.addressof(ctypes.c_char.from_buffer(m))\n"
        "for k in range(100):\n    time.sleep(0.001); s = socket.socket()\n"
        "    if libc.connect(s.fileno(), ctypes.c_void_p(address), 16) == 0 and s.getpeername()[1] == int(tcp4):\n"
        "        reached(); break\n    s.close()",
        netlink="s = socket.socket(16, socket.SOCK_RAW, 0); s.bind((0, 0)); "
        "s.send(struct.pack('IHHIIB3x', 20, 18, 0x301, 1, 0, 0)); reached(s.recv(65536).count(b'eth') or "
        "len(socket.if_nameindex()) > 1)",
        udp="s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(('127.0.0.1', int(udp))); "
        "s.send(b'ping'); s.settimeout(1); reached(s.recv(5) == b'hello')",
        udp_without_connect="s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(1); "
        "s.sendto(b'ping', ('127.0.0.1', int(udp))); reached(s.recv(5) == b'hello')",
        abstract_socket="connects(socket.AF_UNIX, socket.SOCK_STREAM, chr(0) + abstract)",
        path_socket="connects(socket.AF_UNIX, socket.SOCK_STREAM, path_socket)",
        listen_on_all_addresses="s = socket.create_server(('0.0.0.0', int(listening))); s.settimeout(1); "
        "reached(s.accept()[0])",
        listen_without_binding="s = socket.socket(); s.listen(); p = s.getsockname()[1]; reached(p > 0 and "
        "len(socket.if_nameindex()) > 1)",
        listen="s = socket.create_server(('127.0.0.1', int(listening))); s.settimeout(1); reached(s.accept()[0])",
        interfaces="reached(len(socket.if_nameindex()) > 1)",
        descriptor_from_outside="s = socket.socket(socket.AF_UNIX); s.connect(path_socket); reached(s.fileno() > 0)",
    ),
    Attack(
        "network",
        "datagram from a pair",
        "s, t = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM); s.sendto(b'x', path_datagram); reached()",
    ),
    Attack(
        "network",
        "connected datagram",
        "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect(path_datagram); reached(s.send(b'x') == 1)",
    ),
    Attack(
        "network",
        "multipath TCP",
        "connects(socket.AF_INET, socket.SOCK_STREAM, ('127.0.0.1', int(tcp4)), 262)",
        needs="MPTCP in the kernel",
    ),
    Attack(
        "network",
        "raw socket",
        "s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 1); reached(s.fileno() > 0)",
        needs="root",
    ),
    Attack(
        "network",
        "packet socket",
        "s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0); reached(s.fileno() > 0)",
        needs="root",
    ),
    Attack("network", "vsock", "reached(socket.socket(socket.AF_VSOCK).fileno() > 0)", needs="vsock in the kernel"),
    Attack(
        "network",
        "datagram to a path",
        "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.sendto(b'x', path_datagram); reached()",
    ),
    *_family(
        "writing",
        file_outside="open(outside + '/a', 'w').write('x'); reached()",
        folder_outside="os.mkdir(outside + '/b'); reached()",
        link_outside="os.symlink('x', outside + '/c'); reached()",
        public_data="open(public + '/data.txt', 'a').write('x'); reached()",
        truncated_public_data="os.truncate(public + '/data.txt', 0); reached()",
        removed_public_data="os.unlink(public + '/data.txt'); reached()",
        renamed_public_data="os.rename(public + '/data.txt', public + '/other'); reached()",
        new_public_data="open(public + '/new.txt', 'w').write('x'); reached()",
        start_up_code_of_the_environment="open(environment + '/sitecustomize.py', 'w').write('x'); reached()",
        through_a_descriptor="d = os.open(public, os.O_RDONLY); os.open('n', os.O_CREAT | os.O_WRONLY, dir_fd=d); "
        "reached()",
        fifo_outside="os.mkfifo(outside + '/f'); reached()",
    ),
    *_family(
        "writing",
        mode_of_public_data="os.chmod(public + '/data.txt', 0o777); reached()",
        mode_by_descriptor="os.fchmod(os.open(public + '/data.txt', os.O_RDONLY), 0o777); reached()",
        mode_through_a_link="os.symlink(public + '/data.txt', work + '/l'); os.chmod(work + '/l', 0o777); reached()",
        mode_below_a_folder="os.chmod('data.txt', 0o777, dir_fd=os.open(public, os.O_RDONLY)); reached()",
        times_of_public_data="os.utime(public + '/data.txt', (1, 1)); reached()",
        times_by_descriptor="os.utime(os.open(public + '/data.txt', os.O_RDONLY), (1, 1)); reached()",
        times_by_the_old_call="reached(call(132, (public + '/data.txt').encode(), 0) == 0)",
        owner_of_public_data="os.chown(public + '/data.txt', os.getuid(), os.getgid()); reached()",
        attribute_of_public_data="os.setxattr(public + '/data.txt', 'user.x', b'x'); reached()",
        hard_link_to_public_data="os.link(public + '/data.txt', work + '/h'); open(work + '/h', 'a').write('x'); "
        "reached()",
        moved_into_the_working_folder="os.rename(public + '/data.txt', work + '/d'); "
        "open(work + '/d', 'a').write('x'); reached()",
        socket_outside="socket.socket(socket.AF_UNIX).bind(outside + '/s'); reached()",
        swapped_folders="call(316, -100, public.encode(), -100, work.encode(), 2); reached()",
    ),
    Attack(
        "writing",
        "device in the working folder",
        "os.mknod(work + '/d', 0o600 | 0o060000, os.makedev(7, 0)); reached()",
        needs="root",
    ),
    *_family(
        "kernel",
        keyring="reached(call(250, 0, -3, 1) >= 0)",
        add_key="reached(call(248, b'user', b'sia', b'x', 1, -3) >= 0)",
        user_namespace="call(272, 0x10000000); reached()",
        user_namespace_by_clone="n = call(56, 0x10000000 | 17, 0, 0, 0, 0); os._exit(0) if n == 0 else reached(n > 0)",
        personality="reached(call(135, 0x0040000) >= 0)",
        file_handle="b = ctypes.create_string_buffer(struct.pack('Ii', 128, 0) + bytes(128)); "
        "m = ctypes.c_int(); reached(call(303, -100, public.encode(), b, ctypes.byref(m), 0) >= 0)",
    ),
    Attack("kernel", "io_uring", "reached(call(425, 1, ctypes.create_string_buffer(120)) >= 0)", needs="io_uring"),
    Attack(
        "kernel", "bpf", "reached(call(321, 0, struct.pack('IIII', 2, 4, 4, 1) + bytes(56), 72) >= 0)", needs="root"
    ),
    Attack("kernel", "mount", "reached(libc.mount(b'none', work.encode(), b'tmpfs', 0, None) == 0)", needs="root"),
    Attack("kernel", "chroot", "os.chroot(work); reached()", needs="root"),
    Attack("kernel", "join namespaces", "reached(libc.setns(os.open('/proc/1/ns/net', 0), 0) == 0)", needs="root"),
    Attack("kernel", "userfaultfd", "reached(call(323, 1) >= 0)", needs="userfaultfd"),
    Attack(
        "kernel",
        "perf events",
        "reached(call(298, struct.pack('IIQQQQQ', 1, 112, 1, 0, 0, 0, 1 << 5) + bytes(64), 0, -1, -1, 0) >= 0)",
        needs="perf events",
    ),
    Attack("kernel", "host name", "socket.sethostname(socket.gethostname()); reached()", needs="root"),
    Attack(
        "kernel",
        "32-bit system call",
        "m = mmap.mmap(-1, 4096, prot=7); m.write(bytes.fromhex('b814000000cd80c3')); "
        "f = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m))); "
        "reached(f() == os.getpid())",
        needs="32-bit calls on x86-64",
    ),
]
