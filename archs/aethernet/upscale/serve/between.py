"""Which pictures are computed in the middle of another client's long one."""

from aethernet.upscale.serve.jobs import Job

SHARE = 0.5
"""Of the time that the long one still takes: what a short one takes at most."""
UNKNOWN = 8.0
"""How many times as long as the long one's a pixel may take in a network that was not seen yet: small takes 7 times of tiny's."""


class Paces:
    """How long pixels take, learnt from pictures that were computed."""

    def __init__(self) -> None:
        self._known: dict[tuple, float] = {}

    def learn(self, job: Job) -> None:
        """From one that is done."""
        if job.pixels and job.began is not None and job.over is not None:
            self._known[_kind(job)] = job.own / job.pixels

    def fits(self, job: Job, long: Job) -> bool:
        """Whether a picture that waits is to be computed in the middle of a long one."""
        left = long.left
        if not left or long.is_alone or job.client == long.client or not long.pixels:
            return False
        pace = self._known.get(_kind(job))
        if pace is None:
            pace = UNKNOWN * long.whole / long.pixels
        return pace * job.pixels <= SHARE * left


def _kind(job: Job) -> tuple:
    """What has one network."""
    return (
        job.wish.network,
        job.wish.scale,
        job.wish.network is None and job.header is not None and job.header.format == "JPEG",
    )
