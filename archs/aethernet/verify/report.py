"""What a verification found, as a Markdown table."""

import math

from aethernet.tables import footnotes, markdown_table
from aethernet.verify.verification import VerificationReport


def verification_markdown(report: VerificationReport) -> str:
    """The network itself, then a row for each file."""
    header = ["file", "PSNR (Y)", "SSIM", "drop", "worst picture", "agreement", "int8 convs", "size", "gate"]
    rows: list[list[object]] = [[report.reference, f"{report.psnr:.2f}", f"{report.ssim:.4f}", *["-"] * 6]]
    for row in report.rows:
        integers = "-" if row.integers is None else f"{row.integers} of {row.convolutions}"
        rows.append(
            [
                row.label,
                f"{row.psnr:.2f}",
                f"{row.ssim:.4f}",
                f"{row.drop:+.3f} dB",
                f"{row.worst} ({row.worst_drop:+.2f} dB)",
                "equal" if math.isinf(row.agreement) else f"{row.agreement:.1f} dB",
                integers,
                f"{row.file_bytes / 1e6:.2f} MB",
                "passed" if row.passed else "FAILED",
            ]
        )
    notes = [
        f"{report.pictures} pictures; gate: at most {report.max_drop:g} dB of PSNR less than {report.reference} on the mean",
        "agreement: PSNR between the outputs of the file and of the network, before rounding to 8 bits",
    ]
    notes += [f"{row.label}: {row.x86}" for row in report.rows if row.x86]
    return "\n\n".join([markdown_table(header, rows), footnotes(notes, [report.conditions])])
