"""Progress bars of commands."""

from typing import Any

from aethernet.progress import Progress


class ProgressBars:
    """Progress on the standard error stream, so that the table alone can be redirected."""

    def __init__(self) -> None:
        self.bar: Any = None  # tqdm's, which is imported when needed
        self.title = ""

    def titled(self, title: str) -> Progress:
        """The callback of one piece of work; where that begins anew, as with its next phase, so does the bar."""

        def step(done: int, total: int, what: str) -> None:
            from tqdm import tqdm

            if self.bar is None or title != self.title or done <= self.bar.n:
                self.__exit__()
                self.bar, self.title = tqdm(total=total, desc=title, unit="", leave=False), title
            self.bar.set_postfix_str(what, refresh=False)
            self.bar.update(done - self.bar.n)

        return step

    def __enter__(self) -> "ProgressBars":
        return self

    def __exit__(self, *exception: object) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None
