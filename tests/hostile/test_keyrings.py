"""A host's root looks into the kernel's keyring of this user, where Kerberos keeps tickets."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import platform
import secrets
from collections.abc import Callable, Iterator

import pytest

from itb.containers.engine import Engine
from itb.isolation import Isolation
from itb.process.request import Request
from itb.testbed.testbed import Testbed

# Numbers of add_key and keyctl, by architecture; of commands of keyctl and keyrings that every process has.
SYSCALLS = {"x86_64": (248, 250), "aarch64": (217, 219)}
SESSION, OF_USER = -3, -4
JOIN, LINK, UNLINK, SEARCH, READ = 1, 8, 9, 10, 11
ATTEMPT = f"""
import ctypes, os, sys
keyctl, name = int(sys.argv[1]), sys.argv[2].encode()
libc = ctypes.CDLL(None, use_errno=True)
def call(*arguments):
    result = libc.syscall(keyctl, *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments))
    if result == -1:
        print(ctypes.get_errno())
        sys.exit()
    return result
call({LINK}, {OF_USER}, {SESSION})
key, text = call({SEARCH}, {OF_USER}, b"user", name, 0), ctypes.create_string_buffer(64)
call({READ}, key, text, 64)
call({LINK}, call({JOIN}, name), {OF_USER})
print(text.value.decode())
"""


@pytest.fixture
def key_of_user() -> Iterator[str]:
    """A key in this user's keyring, and by the same name what a host may leave there."""
    if platform.machine() not in SYSCALLS:
        pytest.skip("the numbers of its system calls are not known here")
    add, keyctl = SYSCALLS[platform.machine()]
    libc, name = ctypes.CDLL(None, use_errno=True), f"itb-test-{secrets.token_hex(4)}"
    key = libc.syscall(add, b"user", name.encode(), b"a ticket", ctypes.c_long(8), ctypes.c_long(OF_USER))
    if key == -1:
        pytest.skip("this user cannot have keys here")
    yield name
    for kind in (b"user", b"keyring"):
        found = libc.syscall(keyctl, SEARCH, ctypes.c_long(OF_USER), kind, name.encode(), 0)
        if found != -1:
            libc.syscall(keyctl, UNLINK, ctypes.c_long(found), ctypes.c_long(OF_USER))


def test_a_host_reads_no_key_of_this_user(
    engine: Engine,
    start_testbed: Callable[..., contextlib.AbstractContextManager[Testbed]],
    key_of_user: str,
) -> None:
    """Keyrings belong to a user of the machine, and a host's root may be that user."""
    number = str(SYSCALLS[platform.machine()][1])
    with start_testbed(Isolation()) as testbed:
        request = Request(["python3", "-c", ATTEMPT, number, key_of_user], timeout=60)
        assert testbed.host("bare").run(request).stdout.strip() == str(errno.EPERM)
        assert "seccomp=narrowed-filter.json" in testbed.describe(["bare"]).hosts[0].privileges
