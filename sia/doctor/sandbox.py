"""The sandbox: each backend is tried end to end, and the kernel's parts one by one."""

import platform
import subprocess
import sys
from pathlib import Path

from sia.doctor.finding import Finding
from sia.jail.choose import ON_REQUEST, automatic
from sia.jail.probe import Probe, probe
from sia.jail.protocol import Jail
from sia.jail.scope import has_scopes
from sia.jail.stage import landlock_abi

# Makes a user namespace and mounts something in it: making one is often allowed where using it is not.
USE_A_NAMESPACE = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
user = os.geteuid()
def check(result, what):
    if result:
        raise SystemExit(f"{what}: {os.strerror(ctypes.get_errno())}")
check(libc.unshare(0x10000000 | 0x00020000), "unshare")
for name, content in (("setgroups", "deny"), ("uid_map", f"0 {user} 1")):
    try:
        open(f"/proc/self/{name}", "w").write(content)
    except OSError as error:
        raise SystemExit(f"{name}: {error.strerror}")
check(libc.mount(b"none", b"/", None, 16384 | (1 << 18), None), "mount")
check(libc.mount(b"none", b"/tmp", b"tmpfs", 0, None), "mount")
"""
SECONDS = 30.0
APPARMOR = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
SWITCHES = (
    (
        APPARMOR,
        "1",
        "AppArmor restricts user namespaces (Ubuntu 23.10 and later): give bwrap a profile that allows them, "
        "`sudo apt install apparmor-profiles bubblewrap && sudo ln -s /usr/share/apparmor/extra-profiles/"
        "bwrap-userns-restrict /etc/apparmor.d/ && sudo apparmor_parser -r /etc/apparmor.d/bwrap-userns-restrict`; "
        "or lift it, `sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`",
    ),
    (
        Path("/proc/sys/kernel/unprivileged_userns_clone"),
        "0",
        "`sudo sysctl -w kernel.unprivileged_userns_clone=1`",
    ),
    (Path("/proc/sys/user/max_user_namespaces"), "0", "`sudo sysctl -w user.max_user_namespaces=15000`"),
)
MISSING = {
    "bubblewrap": "`apt install bubblewrap` (or dnf, pacman, apk)",
    "landlock": "needs Linux 5.13 or later with landlock in /sys/kernel/security/lsm",
}


def check_sandbox() -> tuple[list[Finding], Jail | None]:
    """The findings, and the backend that `--sandbox auto` takes."""
    chosen: Jail | None = None
    findings = []
    probes = [(jail, probe(jail)) for jail in automatic()]
    for jail, found in probes:
        if found.works and chosen is None:
            chosen = jail
    for jail, found in probes:
        findings.append(_of_backend(jail, found, chosen))
    findings += [_on_request(name) for name in ("docker", "podman") if sys.platform == "linux"]
    if sys.platform == "linux":
        findings += [check_namespaces(), check_landlock(), check_memory()]
    return findings, chosen


def _of_backend(jail: Jail, found: Probe, chosen: Jail | None) -> Finding:
    subject = f"sandbox {jail.name}"
    if found.works:
        told = "holds; `--sandbox auto` takes it" if jail is chosen else "holds"
        return Finding(subject, "ok", told)
    remedy = MISSING.get(jail.name) or "see user namespaces below"
    if jail.name == "bubblewrap" and "not installed" not in found.told:
        remedy = "see user namespaces below"
    return Finding(subject, "note" if chosen else "fail", found.told, remedy)


def _on_request(engine: str) -> Finding:
    found = probe(ON_REQUEST[engine])
    if found.works:
        return Finding(f"sandbox {engine}", "ok", f"holds; taken with `--sandbox {engine}` only")
    remedy = f"only for `--sandbox {engine}`: install it and start its engine"
    return Finding(f"sandbox {engine}", "note", found.told, remedy)


def check_namespaces() -> Finding:
    """Whether this user may make user namespaces and mount in them."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", USE_A_NAMESPACE],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode == 0:
        return Finding("user namespaces", "ok", "can be made and used")
    return Finding("user namespaces", "note", done.stderr.strip()[-200:], namespace_remedy())


def namespace_remedy() -> str:
    """What keeps user namespaces away here, by the switches of the kernel."""
    for switch, off, remedy in SWITCHES:
        try:
            if switch.read_text().strip() == off:
                return remedy
        except OSError:
            continue
    return "in a container, allow them there: seccomp and AppArmor profiles of docker forbid unshare and mount"


def check_landlock() -> Finding:
    """The kernel's Landlock version."""
    abi = landlock_abi()
    if abi >= 6:
        return Finding("Landlock", "ok", f"ABI {abi}, on {platform.release()}")
    if abi:
        told = f"ABI {abi}: no scopes for signals and abstract sockets"
        return Finding("Landlock", "note", told, "Linux 6.12 or later has them; the other sandboxes do without")
    return Finding("Landlock", "note", "not there", MISSING["landlock"])


def check_memory() -> Finding:
    """How memory limits are kept."""
    if has_scopes():
        return Finding("memory control", "ok", "scopes of systemd: the kernel counts everything")
    return Finding(
        "memory control",
        "note",
        "by looking at the processes four times a second, and RLIMIT_DATA",
        "a user session of systemd (`loginctl enable-linger`) lets the kernel do it, memfd and /dev/shm included",
    )
