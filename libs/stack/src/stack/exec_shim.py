"""Becomes another program, after arranging that this program dies with the process that started it.

Run as a script: `exec_shim.py <parent pid> <death signal> <user or -> <program> [argument …]`.

Why a program of its own and not a preexec_fn: that runs Python between fork and exec, where a lock held by any other
thread at that moment is held for ever. Why the user is changed here and not by subprocess: the kernel forgets the
death signal when a process changes its user, so the signal has to come second; and the other user may not be able to
read this Python.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Change the user, ask for the death signal, check that the parent still lives, become the program."""
    parent, death_signal, user, *argv = sys.argv[1:]
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    if user != "-":
        import pwd

        entry = pwd.getpwnam(user)
        os.initgroups(user, entry.pw_gid)
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
    if libc is not None and int(death_signal) and libc.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0) != 0:
        sys.exit(f"prctl(PR_SET_PDEATHSIG): {os.strerror(ctypes.get_errno())}")
    if os.getppid() != int(parent):
        # It died before the kernel knew that we want to follow it.
        sys.exit(f"the parent process {parent} is gone")
    os.execv(argv[0], argv)  # noqa: S606 - becoming a program is the purpose


if __name__ == "__main__":
    main()
