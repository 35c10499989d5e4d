"""What the operating system says of the processor."""

from pathlib import Path

from batchproof_server.proof.certificate.machine import installed_versions, this_machine

CPUINFO = """\
processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 143
model name\t: Intel(R) Xeon(R) Platinum
stepping\t: 8
cache size\t: 107520 KB
flags\t\t: fpu sse sse2 ht avx avx2 avx512_bf16 amx_tile fma f16c syscall avx2

processor\t: 1
model name\t: another
"""


def test_processor_and_numeric_features_are_read_from_the_first_processor(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(CPUINFO)
    machine = this_machine(tmp_path / "cpuinfo")
    assert machine.processor == "GenuineIntel / 6 / 143 / 8 / Intel(R) Xeon(R) Platinum / 107520 KB"
    assert machine.cpu_features == (
        "amx_tile", "avx", "avx2", "avx512_bf16", "f16c", "fma", "sse", "sse2",
    )  # fmt: skip
    assert machine.usable_cpus >= 1
    assert machine.system


def test_an_arm_processor_has_features_too(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(
        "processor : 0\nFeatures : fp asimd aes sve\nCPU implementer : 0x41\nCPU part : 0xd40\n"
    )
    machine = this_machine(tmp_path / "cpuinfo")
    assert (machine.processor, machine.cpu_features) == ("0x41 / 0xd40", ("asimd", "sve"))


def test_without_a_description_there_are_no_features(tmp_path: Path) -> None:
    assert this_machine(tmp_path / "absent").cpu_features == ()


def test_the_versions_name_what_is_installed_only() -> None:
    versions = installed_versions()
    assert {"python", "numpy", "batchproof"} <= set(versions)
    assert all(version[0].isdigit() for version in versions.values())
