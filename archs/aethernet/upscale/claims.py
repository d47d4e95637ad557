"""Claims: small files by which processes, on one machine or on several, tell each other which picture they are at.

A claim lies hidden beside the result that it is for, and exists from before the work until the result is there. Its owner
touches it every few seconds. The claim of an owner that is gone is taken over: at once where the process can be seen to be
dead, else when nobody has touched it for a minute. Nothing depends on it but that work is not done twice: results are
written whole or not at all, and equal whoever writes them.
"""

import contextlib
import hashlib
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aethernet.errors import OutputError
from aethernet.files import LONGEST_NAME, temporaries

HEARTBEAT = 5.0
STALE = 60.0
"""Seconds without a heartbeat, as this process sees it: clocks of machines and file servers differ."""
LONG_AGO = 3600.0
"""Seconds by the clock: more than clocks differ by."""
ENDING = ".claim"
SEIZED = 8  # hexadecimal digits behind the name of a claim that is being taken over


class Claims:
    """Those of this process; use it in a `with` statement, which gives all back at its end. For several threads at once."""

    def __init__(self, heartbeat: float = HEARTBEAT, stale: float = STALE) -> None:
        self._heartbeat, self._stale = heartbeat, stale
        owner = {
            "machine": machine(),
            "process": os.getpid(),
            "started": _started(os.getpid()),
            "by": secrets.token_hex(8),
        }
        self._content = json.dumps(owner).encode()
        self._held: set[Path] = set()
        self._seen: dict[Path, tuple[int, float]] = {}
        self._ended = threading.Event()
        # Signals interrupt the main thread alone: in another one, a claim is taken whole or not at all.
        self._taking = ThreadPoolExecutor(1, "claim")
        self._thread = threading.Thread(target=self._touch, name="claims", daemon=True)

    def __enter__(self) -> "Claims":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        # In that thread, too, which ends even if a second signal ends the wait for it.
        self._taking.submit(self._end)
        self._taking.shutdown()

    def _end(self) -> None:
        self._ended.set()
        self._thread.join()
        for claim in list(self._held):
            self._give_back(claim)

    def take(self, target: Path) -> bool:
        """Whether the target is now this process's to make. Raises `OutputError` where nothing can be written."""
        return self._taking.submit(self._take, target).result()

    def _take(self, target: Path) -> bool:
        claim = claim_of(target)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            return self._create(claim) or (self._seize(claim, target) and self._create(claim))
        except OSError as error:
            raise OutputError(f"{target.parent} cannot be written: {error.strerror or error}") from error

    def release(self, target: Path) -> None:
        self._give_back(claim_of(target))

    def others_hold(self, target: Path) -> bool:
        """Whether somebody else is at it, who is not known to be gone."""
        claim = claim_of(target)
        return claim not in self._held and os.path.exists(claim) and not self._is_abandoned(claim, self._read(claim))

    def clean(self, targets: Iterable[Path]) -> None:
        """Removes what killed processes left of these targets: their claims, and files half written."""
        folders: dict[Path, list[Path]] = {}
        for target in targets:
            folders.setdefault(target.parent, []).append(target)
        for folder, inside in folders.items():
            try:
                hidden = {entry.name for entry in os.scandir(folder) if entry.name.startswith(".")}
            except OSError:  # not there yet, which is the rule
                continue
            if hidden:
                self._clean(inside, hidden)

    def _clean(self, targets: list[Path], hidden: set[str]) -> None:
        seized = {name[: -SEIZED - 1]: name for name in hidden if name[: -SEIZED - 1].endswith(ENDING)}
        for target in targets:
            claim = claim_of(target)
            with contextlib.suppress(OSError):
                if claim.name in hidden:
                    self._seize(claim, target)
                elif claim.name in seized:  # killed while it took over
                    _remove(temporaries(target.parent, [target.name]), claim.with_name(seized[claim.name]))
        unclaimed = [target.name for target in targets if claim_of(target).name not in hidden]
        _remove(each for each in temporaries(targets[0].parent, unclaimed) if _age(each) > LONG_AGO)

    def _create(self, claim: Path) -> bool:
        """Whether it was not there."""
        self._held.add(claim)
        try:
            descriptor = os.open(claim, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except OSError as error:
            self._held.discard(claim)
            if isinstance(error, FileExistsError):
                return False
            raise
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(self._content)
        except OSError:
            self._held.discard(claim)
            claim.unlink(missing_ok=True)
            raise
        return True

    def _seize(self, claim: Path, target: Path) -> bool:
        """Whether an abandoned claim is gone now, with what its owner left half written."""
        content = self._read(claim)
        if not self._is_abandoned(claim, content):
            return False
        left = temporaries(target.parent, [target.name])  # before others may begin
        seized = claim.with_name(f"{claim.name}.{secrets.token_hex(SEIZED // 2)}")
        try:
            os.rename(claim, seized)
        except FileNotFoundError:  # another process was faster
            return True
        if self._read(seized) != content:  # it was, and has made its own
            with contextlib.suppress(OSError):
                os.link(seized, claim)
            _remove([seized])
            return False
        _remove(left, seized)
        self._seen.pop(claim, None)
        return True

    def _is_abandoned(self, claim: Path, content: bytes | None) -> bool:
        if content is None:
            return False
        with contextlib.suppress(ValueError, TypeError, KeyError):  # not yet written, or by a later release
            owner = json.loads(content)
            if owner["machine"] == machine() and not _lives(int(owner["process"]), owner["started"]):
                return True
        try:
            touched = claim.stat().st_mtime_ns
        except OSError:
            return False
        now = time.monotonic()
        last, since = self._seen.setdefault(claim, (touched, now))
        if last != touched:
            self._seen[claim] = (touched, now)
            return False
        return now - since > self._stale or time.time() - touched / 1e9 > LONG_AGO

    def _read(self, claim: Path) -> bytes | None:
        try:
            return claim.read_bytes()
        except OSError:
            return None

    def _give_back(self, claim: Path) -> None:
        if self._read(claim) == self._content:
            _remove([claim])
        self._held.discard(claim)

    def _touch(self) -> None:
        while not self._ended.wait(self._heartbeat):
            for claim in list(self._held):
                with contextlib.suppress(OSError):  # taken over by somebody who could not see it
                    os.utime(claim)


def claim_of(target: Path) -> Path:
    """Where the claim for a target lies."""
    name = f".{target.name}{ENDING}"
    if len(os.fsencode(name)) > LONGEST_NAME - SEIZED - 1:
        name = f".{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:32]}{ENDING}"
    return target.with_name(name)


def machine() -> str:
    """What the numbers of processes count in: the same for two processes only if each can see the other's."""
    seen = [socket.gethostname()]
    with contextlib.suppress(OSError):  # Linux alone
        seen.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
        seen.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(seen)


def _started(process: int) -> str:
    """When a process began, in whatever unit, or "dead"; "" where the system does not tell."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    fields = text[text.rindex(")") + 1 :].split()
    return "dead" if fields[0] in "ZX" else fields[19]


def _lives(process: int, started: str) -> bool:
    """Whether a process of this machine still runs; its number may have gone to another one."""
    if os.name != "posix":  # there os.kill does kill
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return _started(process) in ("", started)


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0


def _remove(paths: Iterable[Path], *more: Path) -> None:
    for path in (*paths, *more):
        with contextlib.suppress(OSError):
            path.unlink()
