"""Takes the programs that itb itself relies on from an image, so that they run apart from what is on a host.

It runs in a container of a platform's bare image and writes a tar archive to standard output,
which every host of a testbed has read-only at the folder that it is given (/itb):
  bin/          the programs named, which are given a loader of their own
  lib/          their libraries
  ld.so         the loader: it reads no /etc/ld.so.preload and no /etc/ld.so.cache but those of this folder
  ld.so.cache   where it finds the libraries; there is no ld.so.preload
"""

import io
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PT_INTERP = 3  # elf(5)


def interpreter(program):
    """Return offset and length of a program's loader's name in its file; None if it is no 64-bit ELF with one."""
    if program[:5] != b"\x7fELF\2":
        return None
    order = "<" if program[5] == 1 else ">"
    start, = struct.unpack_from(order + "Q", program, 32)
    size, number = struct.unpack_from(order + "HH", program, 54)
    for header in range(start, start + size * number, size):
        kind, = struct.unpack_from(order + "I", program, header)
        if kind == PT_INTERP:
            offset, = struct.unpack_from(order + "Q", program, header + 8)
            length, = struct.unpack_from(order + "Q", program, header + 32)
            return offset, length
    return None


class Tools:
    """The files of the archive as they are put together."""

    def __init__(self, folder):
        self.folder, self.files, self.loader = folder, {}, ""

    def take(self, name):
        """Add a program with its libraries; one that the image has not is left out."""
        found = shutil.which(name)
        if not found or "bin/" + name in self.files:
            return
        content = Path(found).read_bytes()
        if content[:2] == b"#!":  # one program under many names, as coreutils-single of Enterprise Linux has it
            words = content.splitlines()[0][2:].decode().split()
            base = Path(words[0]).name
            self.take(base)
            line = f"#!{self.folder}/bin/{base} {' '.join(words[1:])}\n"
            self.files["bin/" + name] = line.encode()
            return
        place = interpreter(content)
        if place:
            offset, length = place
            self.loader = content[offset : offset + length].rstrip(b"\0").decode()
            own = (self.folder + "/ld.so").encode().ljust(length, b"\0")
            if len(own) > length:
                raise SystemExit(f"the loader's name of {found} is too short to be replaced")
            content = content[:offset] + own + content[offset + length :]
            listed = subprocess.run([self.loader, "--list", found], stdout=subprocess.PIPE, check=True).stdout
            for library, path in re.findall(r"^\s*(\S+) => (/\S+) \(", listed.decode(), re.MULTILINE):
                self.files.setdefault("lib/" + library, Path(path).read_bytes())
        self.files["bin/" + name] = content

    def finish(self):
        """Add the loader, and the cache by which it finds the libraries."""
        loader, where = Path(self.loader).read_bytes(), b"/etc/ld.so."
        own = (self.folder + "/ld.so.").encode()
        if len(own) != len(where) or where not in loader:
            raise SystemExit(f"the loader {self.loader} does not name its files as expected")
        self.files["ld.so"] = loader.replace(where, own)
        with tempfile.TemporaryDirectory() as root:
            top = Path(root + self.folder)
            (top / "lib").mkdir(parents=True)
            for name, content in self.files.items():
                if name.startswith("lib/"):
                    (top / name).write_bytes(content)
            (top / "conf").write_text(self.folder + "/lib\n")
            make = ["ldconfig", "-r", root, "-X", "-f", self.folder + "/conf", "-C", self.folder + "/ld.so.cache"]
            subprocess.run(make, check=True)
            self.files["ld.so.cache"] = (top / "ld.so.cache").read_bytes()


def main():
    """Write the archive of the programs that are named."""
    tools = Tools(sys.argv[1])
    for name in sys.argv[2:]:
        tools.take(name)
    tools.finish()
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=tarfile.GNU_FORMAT) as archive:
        for name, content in sorted(tools.files.items()):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mode = 0o644 if name.startswith("lib/") or name == "ld.so.cache" else 0o755
            archive.addfile(entry, io.BytesIO(content))


main()
