"""The processor as Linux describes it, and as other systems do not."""

from aethernet import machine


def test_the_processor_is_read_from_cpuinfo(tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    flags = "fpu avx2 avx512f avx_vnni amx_tile"
    cpuinfo.write_text(f"processor\t: 0\nmodel name\t: Fast 9000 @ 2 GHz\nflags\t\t: {flags}\n\nmodel name\t: Other\n")
    found = machine.cpu(cpuinfo)
    assert (found.model, found.features) == ("Fast 9000 @ 2 GHz", ("AVX2", "AVX512", "VNNI", "AMX"))
    assert found.title == "Fast 9000 @ 2 GHz (AVX2 AVX512 VNNI AMX)"


def test_without_cpuinfo_the_features_are_unknown(tmp_path):
    found = machine.cpu(tmp_path / "missing")
    assert found.features is None and found.title == found.model != ""


def test_there_are_cores():
    assert machine.cores() >= 1
