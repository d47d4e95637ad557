"""A release: one checkpoint in, a folder of verified files out, with a model card and a report that proves each of them.

plan.py       the files of a bundle, where each is verified, and its budget
write.py      the files, from the weights
gate.py       each file against the training network on real pictures
latency.py    milliseconds, paired
records.py    what was found, as it stands in report.json
card.py, page.py    README.md and report.html
folder.py     a folder that is replaced as a whole or not at all
bundle.py     the steps in order
"""

from aethernet.release.bundle import Released, Settings, release

__all__ = ["Released", "Settings", "release"]
