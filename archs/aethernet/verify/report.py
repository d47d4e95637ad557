"""What a verification found, as a Markdown table."""

from aethernet.tables import agreement, footnotes, markdown_table, megabytes, signed
from aethernet.verify.verification import VerificationReport, Verified
from aethernet.wording import how_many


def verification_markdown(report: VerificationReport) -> str:
    """The network itself, then a row for each file."""
    header = ["file", "PSNR (Y)", "SSIM", "drop", "worst picture", "agreement", "int8 convs", "size", "gate"]
    rows = [[report.reference, f"{report.psnr:.2f}", f"{report.ssim:.4f}", *["-"] * 6], *map(_row, report.rows)]
    notes = [
        f"{how_many(report.pictures, 'picture')}; gate: at most {report.max_drop:g} dB of PSNR less than {report.reference} on the mean",
        "agreement: PSNR between the outputs of the file and of the network, before rounding to 8 bits",
    ]
    if report.damaged:
        files = "; ".join(f"{each.file} ({each.problem})" for each in report.damaged)
        notes.append(f"{how_many(len(report.damaged), 'more picture')}, damaged and left out of all figures: {files}")
    notes += [f"{row.label}: {row.x86}" for row in report.rows if row.x86]
    notes += [f"{row.label}: {row.check.problem}" for row in report.rows if row.check.problem]
    return "\n\n".join([markdown_table(header, rows), footnotes(notes, [report.conditions])])


def _row(row: Verified) -> list[str]:
    found, check = row.check.figures, row.check
    figures = ["-"] * 5
    if found is not None:
        worst = f"{found.worst} ({signed(found.worst_drop, 2)} dB)"
        figures = [f"{found.psnr:.2f}", f"{found.ssim:.4f}", f"{signed(found.drop, 3)} dB", worst, agreement(found.agreement)]  # fmt: skip
    integers = "-" if check.integers is None else f"{check.integers} of {check.convolutions}"
    return [row.label, *figures, integers, megabytes(row.file_bytes), "passed" if check.passed else "FAILED"]
