"""Which shared libraries an ELF file asks for, and which of them this machine lacks (Linux)."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterable
from pathlib import Path

_DYNAMIC_SEGMENT = 2  # PT_DYNAMIC
_LOADED_SEGMENT = 1  # PT_LOAD
_NEEDED, _STRING_TABLE = 1, 5  # DT_NEEDED, DT_STRTAB


def why_not_loadable(library: Path) -> str:
    """Load a library with all that it needs; the loader's own words when that fails, "" when it works.

    A library that loads stays loaded, so that whoever uses it next finds that work done.
    """
    try:
        ctypes.CDLL(str(library))
    except OSError as error:
        return str(error)
    return ""


def missing_libraries(starts: Iterable[Path], own_folder: Path) -> tuple[str, ...]:
    """The libraries that ``starts`` need, directly or through others, and that this machine does not have.

    Args:
        starts: ELF files that exist.
        own_folder: where libraries that ship beside them lie; these are followed, the system's are tried.

    Returns:
        Sonames such as ``libGL.so.1``, in the order they were met.
    """
    waiting = list(starts)
    seen: dict[str, bool] = {}
    while waiting:
        for soname in needed_libraries(waiting.pop(0)):
            if soname in seen:
                continue
            own = own_folder / soname
            if own.exists():
                seen[soname] = True
                waiting.append(own)
            else:
                seen[soname] = not why_not_loadable(Path(soname))
    return tuple(soname for soname, found in seen.items() if not found)


def needed_libraries(library: Path) -> tuple[str, ...]:
    """The sonames that a 64-bit little-endian ELF file lists as needed; none for any other file.

    The layout is that of the System V ABI: the dynamic segment holds pairs of 64-bit tag and value, the string
    table's address is one of the values, and loaded segments map addresses to places in the file.
    """
    data = library.read_bytes()
    if data[:6] != b"\x7fELF\x02\x01":
        return ()
    (headers_at,) = struct.unpack_from("<Q", data, 32)
    header_size, header_count = struct.unpack_from("<HH", data, 54)
    loaded: list[tuple[int, int, int]] = []
    dynamic = (0, 0)
    for number in range(header_count):
        kind, _, offset, address, _, size = struct.unpack_from("<IIQQQQ", data, headers_at + number * header_size)
        if kind == _LOADED_SEGMENT:
            loaded.append((address, offset, size))
        elif kind == _DYNAMIC_SEGMENT:
            dynamic = (offset, size)
    entries = list(struct.iter_unpack("<QQ", data[dynamic[0] : sum(dynamic)]))
    strings = next((value for tag, value in entries if tag == _STRING_TABLE), 0)
    place = next((offset + strings - address for address, offset, size in loaded if 0 <= strings - address < size), 0)
    names = (place + value for tag, value in entries if tag == _NEEDED)
    return tuple(data[name : data.index(b"\0", name)].decode() for name in names)
