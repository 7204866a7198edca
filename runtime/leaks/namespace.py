"""A network of this process's own: loopback, and one way out that ends in our hands.

Everything that tries to leave goes into a TUN device and is read there. Names are looked up as glibc does it on a plain
machine, at an address out there: a resolver that answers over a Unix socket (nscd, systemd-resolved) would ask for us,
unseen. Linux only; no tool is run, and no right is needed where user namespaces are allowed.
"""

import ctypes
import fcntl
import os
import socket
import struct
import sys
import tempfile
from pathlib import Path

from runtime.leaks.errors import CaptureMissing, NamespaceForbidden
from runtime.leaks.netlink import add_address, add_default_route, set_up

DEVICE = "veil0"
NAMESERVER = "198.51.100.53"  # RFC 5737: nobody's
ADDRESSES = (("192.0.2.2", 24), ("2001:db8::2", 64))

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x0002_0000, 0x1000_0000, 0x4000_0000  # sched.h
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x4_0000  # sys/mount.h
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000  # linux/if_tun.h

TUN = Path("/dev/net/tun")
FILES = {
    Path("/etc/resolv.conf"): f"nameserver {NAMESERVER}\noptions timeout:1 attempts:1\n",
    Path("/etc/nsswitch.conf"): "hosts: files dns\n",
}
FOLDERS = (Path("/run/nscd"), Path("/var/run/nscd"))

ALLOW = (
    "allow user namespaces (sysctl user.max_user_namespaces above 0; on Ubuntu "
    "kernel.apparmor_restrict_unprivileged_userns=0; in a container: run it with seccomp=unconfined), or run it as root"
)


def enter_own_network() -> int:
    """Move this process into it. The descriptor to read what tries to leave from, one IP packet a read, not blocking.

    The process must have one thread only; it cannot go back.

    Raises: NamespaceForbidden, CaptureMissing.
    """
    if sys.platform != "linux":
        raise NamespaceForbidden("network namespaces are a thing of Linux: run the check on the bot host itself")
    uid, gid = os.geteuid(), os.getegid()
    try:
        _enter_namespaces(uid, gid)
        _plain_resolver()
    except OSError as error:
        raise NamespaceForbidden(f"no network namespace of our own: {error.strerror or error}; {ALLOW}") from error
    try:
        set_up("lo")
        descriptor = _open_tun()
        set_up(DEVICE)
    except PermissionError as error:
        raise CaptureMissing(
            f"no TUN device to catch packets with: {error.strerror}; let everybody open it, as udev does "
            f"(chmod 666 {TUN}), or run the check as root"
        ) from error
    except OSError as error:
        raise CaptureMissing(
            f"no TUN device to catch packets with: {error.strerror or error}; load the module tun, and in a container "
            f"pass {TUN} into it"
        ) from error
    try:
        for address, prefix in ADDRESSES:
            if ":" not in address or _has_ipv6():
                add_address(DEVICE, address, prefix)
                add_default_route(DEVICE, address)
    except OSError as error:
        raise CaptureMissing(f"no route into the TUN device: {error.strerror or error}") from error
    return descriptor


def _enter_namespaces(uid: int, gid: int) -> None:
    """With a user namespace where there may be one, else with root's own rights."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) == 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
        return
    why = ctypes.get_errno()
    if uid != 0 or libc.unshare(CLONE_NEWNET | CLONE_NEWNS) != 0:
        raise OSError(why, os.strerror(why))


def _plain_resolver() -> None:
    """Seen from this process alone: its mounts are its own by now."""
    _mount(None, Path("/"), MS_REC | MS_PRIVATE)
    with tempfile.TemporaryDirectory() as folder:
        for path, text in FILES.items():
            if path.exists():
                ours = Path(folder) / path.name
                ours.write_text(text, encoding="ascii")
                _mount(ours, path, MS_BIND)
        empty = Path(folder) / "empty"
        empty.mkdir()
        for path in FOLDERS:
            if path.is_dir():
                _mount(empty, path, MS_BIND)


def _mount(source: Path | None, target: Path, flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    origin = None if source is None else os.fsencode(source)
    if libc.mount(origin, os.fsencode(target), None, ctypes.c_ulong(flags), None) != 0:
        why = ctypes.get_errno()
        raise OSError(why, f"{target}: {os.strerror(why)}")


def _open_tun() -> int:
    descriptor = os.open(TUN, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), IFF_TUN | IFF_NO_PI))
    return descriptor


def _has_ipv6() -> bool:
    """Whether the kernel has it switched on at all; if not, nothing can leave over it."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
