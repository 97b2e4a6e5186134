"""What a kernel says of its processors."""

import platform

from pipeline.measure.processor import described, machine_name


def test_the_first_processor_is_described_and_sockets_are_counted(tmp_path):
    file = tmp_path / "cpuinfo"
    one = "model name\t: Fast\nflags\t\t: avx2 avx512_bf16\nphysical id\t: {}\npower:\n\n"
    file.write_text("".join(one.format(socket) for socket in (0, 0, 1)))
    found = described(file)
    assert (found.name, found.sockets) == ("Fast", 2)
    assert found.features == {"avx2", "avx512_bf16"}


def test_an_arm_names_features_and_no_model(tmp_path):
    file = tmp_path / "cpuinfo"
    file.write_text("processor\t: 0\nFeatures\t: fp asimd bf16\nCPU part\t: 0xd40\n")
    found = described(file)
    assert found.features == {"fp", "asimd", "bf16"} and found.sockets == 1
    assert found.name == (platform.processor() or platform.machine())


def test_without_the_file_python_is_asked(tmp_path):
    found = described(tmp_path / "none")
    assert found.name and found.features == frozenset()


def test_machines_with_other_processors_have_other_names():
    assert described().name in machine_name() and platform.system() in machine_name()
