"""The functions as AWS Lambda takes them: one archive each, which holds the program as `bootstrap`.

    packages.py FOLDER ARCHITECTURE

makes a build of what cargo-lambda has put into FOLDER/eft-NAME/bootstrap: `.eft/packages/VERSION/NAME.zip`.
"""

import hashlib
import io
import os
import pathlib
import subprocess
import sys
import tempfile
import zipfile

import eft

PROGRAMS = ("router", "sweep", "stage", "config", "status", "identity")
# What `provided.al2023` has: Amazon Linux 2023 comes with glibc 2.34.
GLIBC = (2, 34)
MACHINES = {"x86_64": "x64", "arm64": "AArch64"}
# Lambda's quota for the program of a function, unpacked, with its layers.
LARGEST = 250 * eft.MIB


def packed(program, level):
    """The archive; the same bytes for the same program."""
    entry = zipfile.ZipInfo("bootstrap")
    entry.external_attr = 0o755 << 16
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as entries:
        entries.writestr(entry, program, zipfile.ZIP_DEFLATED, level)
    return archive.getvalue()


def at_hand(name):
    """For this machine: the package of the build in EFT_PACKAGES, or what cargo has built, without what only a debugger reads."""
    if folder := os.environ.get("EFT_PACKAGES"):
        package = pathlib.Path(folder) / f"{name}.zip"
        if not package.exists():
            raise SystemExit(f"{package} is not there: EFT_PACKAGES names a folder that `cargo xtask package` made")
        return package.read_bytes()
    built = eft.BIN / f"eft-{name}"
    if not built.exists():
        raise SystemExit(f"{built} is not there: `cargo build --workspace` makes it")
    with tempfile.TemporaryDirectory() as folder:
        stripped = pathlib.Path(folder) / "bootstrap"
        subprocess.run(["strip", "-o", stripped, built], check=True)
        return packed(stripped.read_bytes(), 1)


def version(packages):
    """Names a build by what is in it."""
    return hashlib.sha256(b"".join(packages[name] for name in PROGRAMS)).hexdigest()[:16]


def check(program, architecture):
    """Ends with what is wrong where Lambda could not start this program; gives the newest glibc that it asks for."""
    # Only a build needs it, and installs it.
    from elftools.elf.elffile import ELFFile

    with program.open("rb") as file:
        elf = ELFFile(file)
        machine, needed = elf.get_machine_arch(), elf.get_section_by_name(".gnu.version_r")
        names = [one.name for _, ones in needed.iter_versions() for one in ones]
    if machine != MACHINES[architecture]:
        raise SystemExit(f"{program} is for {machine}, not for {architecture}")
    asked = max(tuple(map(int, name.removeprefix("GLIBC_").split("."))) for name in names if name.startswith("GLIBC_"))
    if asked > GLIBC:
        raise SystemExit(f"{program} asks for glibc {dotted(asked)}, and Lambda has {dotted(GLIBC)}")
    if program.stat().st_size > LARGEST:
        raise SystemExit(f"{program} is of {program.stat().st_size} bytes; Lambda takes {LARGEST}")
    return dotted(asked)


def dotted(numbers):
    return ".".join(map(str, numbers))


def main(folder, architecture):
    packages = {}
    for name in PROGRAMS:
        program = pathlib.Path(folder) / f"eft-{name}" / "bootstrap"
        glibc = check(program, architecture)
        packages[name] = packed(program.read_bytes(), 9)
        sizes = f"{program.stat().st_size / eft.MIB:5.1f} MiB, packed {len(packages[name]) / eft.MIB:4.1f}"
        print(f"{name:8} {sizes}, glibc {glibc}")
    build = eft.HOME / "packages" / version(packages)
    build.mkdir(parents=True, exist_ok=True)
    for name, package in packages.items():
        (build / f"{name}.zip").write_bytes(package)
    print(f"a build for {architecture}: {build.relative_to(eft.HOME.parent)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
