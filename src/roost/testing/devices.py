"""Real faults of this machine: file systems on loop devices that lose power, fill up or hang.

They need root, `mkfs.ext4`, `e2fsck`, `mount` and loop devices; `loop_reason` says what is
missing.  System calls are made to fail by `strace`; `strace_reason` says whether that works here.
"""

import fcntl
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Self

from roost.testing.patience import wait_until

_EXT4_IOC_SHUTDOWN = 0x8004587D
_SHUTDOWN_WITHOUT_LOG_FLUSH = 2
_FREEZE, _THAW = 0xC0045877, 0xC0045878
_CORRECTED = 1  # the one bit of its exit code that is no failure
_PATIENCE_S = 60.0


class LoopDisk:
    """A small ext4 file system of its own; use it as a context manager.

    With `backing_mb` the device under it has only so much room, which the file system does not
    know: beyond that, what was taken into the page cache cannot be written back, and the next
    sync says so, once.  With `may_fail` the device is a file on FUSE, and `fail_device` chooses
    the ranges of it that take no writes.
    """

    def __init__(
        self,
        root: Path,
        size_mb: int,
        *,
        backing_mb: int = 0,
        may_fail: bool = False,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        """Nothing is mounted; `root` is an empty directory."""
        self._backing = root / "backing"
        self._backing_mb = backing_mb
        self._may_fail = may_fail
        self._ranges = root / "ranges"
        self._image = (self._backing if backing_mb or may_fail else root) / "disk.img"
        self.path = root / "disk"
        self._size_mb = size_mb
        self._is_frozen = False
        self._patience_s = patience_s

    def __enter__(self) -> Self:
        """Make and mount it."""
        self.path.mkdir()
        if self._backing_mb:
            self._backing.mkdir()
            size = f"size={self._backing_mb}M"
            _run("mount", "-t", "tmpfs", "-o", size, "tmpfs", str(self._backing))
        if self._may_fail:
            self._backing.mkdir()
            _make_sparse(self._backing.with_suffix(".img"), self._size_mb)
            self._serve_failing_file()
        else:
            _make_sparse(self._image, self._size_mb)
        _run("mkfs.ext4", "-q", "-F", str(self._image))
        self._mount()
        return self

    def __exit__(self, *_: object) -> None:
        """Unmount it."""
        self.thaw()
        self._unmount()
        if self._backing_mb or self._may_fail:
            self._run_until_it_works("umount", str(self._backing))
        if self._may_fail:
            self._server.wait(timeout=self._patience_s)

    def fail_device(self, *ranges: tuple[int, int]) -> None:
        """Fail every write to these ranges of the device, in bytes, from now on."""
        assert self._may_fail, "the device is not on FUSE"
        lines = "".join(f"{begin} {end}\n" for begin, end in ranges)
        whole = self._ranges.with_suffix(".new")
        whole.write_text(lines)
        whole.replace(self._ranges)

    def repair_device(self) -> None:
        """Give the device under the file system all the room it should have, and no bad range."""
        if self._may_fail:
            self.fail_device()
        else:
            _run("mount", "-o", f"remount,size={2 * self._size_mb}M", str(self._backing))

    def _serve_failing_file(self) -> None:
        command = [sys.executable, "-m", "roost.testing.failing_file", str(self._backing)]
        backing = str(self._backing.with_suffix(".img"))
        self._server = subprocess.Popen([*command, backing, str(self._ranges)])
        wait_until(
            lambda: self._image.exists() or self._server.poll() is not None, self._patience_s
        )
        if not self._image.exists():
            message = "the FUSE file system did not come up"
            raise OSError(message)

    def _unmount(self) -> None:
        """Unmount once those who used it are gone; a killed member's helpers end after it.

        Where somebody has a copy of all mounts, in a namespace of its own, the device lives on with
        the file system as it was, shut down: mounted again it would be the same.
        """
        self._run_until_it_works("umount", str(self.path))
        wait_until(self._is_let_go, self._patience_s)

    def _is_let_go(self) -> bool:
        command = ["losetup", "--associated", str(self._image), "--noheadings"]
        return not subprocess.run(command, check=False, capture_output=True).stdout

    def _mount(self) -> None:
        """Mount; the loop device of the mount before may still be letting go of the image.

        `rw` is said aloud because `mount` otherwise falls back to a read-only one without a word.
        """
        self._run_until_it_works("mount", "-o", "loop,rw", str(self._image), str(self.path))
        self.path.chmod(0o700)

    def _run_until_it_works(self, *command: str) -> None:
        """Try again while something is still busy.

        Raises:
            CalledProcessError: it does not work in time.

        """

        def works() -> bool:
            return subprocess.run(command, capture_output=True, check=False).returncode == 0

        try:
            wait_until(works, self._patience_s)
        except TimeoutError:
            _run(*command)  # it says why

    def cut_power(self) -> None:
        """From now on nothing reaches the disk; what was not synced is gone."""
        self._ioctl(_EXT4_IOC_SHUTDOWN, struct.pack("I", _SHUTDOWN_WITHOUT_LOG_FLUSH))

    def restore_power(self) -> None:
        """Mount again what the cut left; nobody may have a file open for long.

        A cut leaves what ext4's own journal mends.  A device that failed writes may have lost some
        of the metadata as well: mounted unchecked, it can turn read-only at the next change.
        """
        self._unmount()
        if self._backing_mb or self._may_fail:
            self._check()
        self._mount()

    def _check(self) -> None:
        """Mend the metadata, as whoever runs the machine does before the disk is used again."""
        command = ["e2fsck", "-f", "-y", str(self._image)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode & ~_CORRECTED:
            message = f"e2fsck ended with {done.returncode}: {done.stdout}{done.stderr}"
            raise OSError(message)

    def freeze(self) -> None:
        """Let every write and sync hang."""
        self._ioctl(_FREEZE, bytes(4))
        self._is_frozen = True

    def thaw(self) -> None:
        """Let them go on."""
        if self._is_frozen:
            self._is_frozen = False
            self._ioctl(_THAW, bytes(4))

    def _ioctl(self, request: int, argument: bytes) -> None:
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, request, argument)
        finally:
            os.close(descriptor)


def _make_sparse(path: Path, size_mb: int) -> None:
    with path.open("wb") as file:
        file.truncate(size_mb << 20)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@cache
def loop_reason() -> str:
    """Why there can be no loop file systems here; empty when there can."""
    if os.geteuid():
        return "mounting needs root"
    for tool in ("mkfs.ext4", "e2fsck", "mount", "umount", "losetup"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    root = Path(tempfile.mkdtemp())
    try:
        with LoopDisk(root, 16, patience_s=1) as disk:
            disk.cut_power()
            disk.restore_power()
    except (OSError, subprocess.CalledProcessError) as error:
        return f"a loop file system cannot be mounted and shut down: {error}"
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return ""


@cache
def fuse_reason() -> str:
    """Why there can be no failing device here; empty when there can."""
    if loop_reason():
        return loop_reason()
    root = Path(tempfile.mkdtemp())
    try:
        with LoopDisk(root, 16, may_fail=True, patience_s=5):
            pass
    except (OSError, subprocess.SubprocessError) as error:
        return f"a file system on FUSE cannot be mounted: {error}"
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return ""


# Without `--seccomp-bpf`, which would spare all other calls a stop: with it strace 6.1 never sees a
# `pwritev2` (2026-11-26), and nothing is injected.
_STRACE = ("strace", "-f", "-qq")


@cache
def strace_reason() -> str:
    """Why system calls cannot be made to fail here; empty when they can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    command = [*_STRACE, "-o", os.devnull, "-e", "inject=fdatasync:error=EIO", "true"]
    done = subprocess.run(command, check=False, capture_output=True)
    return "" if done.returncode == 0 else f"strace does not work: {done.stderr.decode()[:200]}"


def under_strace(log: Path, *injections: str) -> list[str]:
    """The beginning of a command line whose system calls fail as `injections` say."""
    options = [option for it in injections for option in ("-e", f"inject={it}")]
    calls = sorted({it.split(":", 1)[0] for it in injections})
    return [*_STRACE, "-o", str(log), "-e", f"trace={','.join(calls)}", *options]
