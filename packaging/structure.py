#!/usr/bin/env python3
"""Draw the program's structure in words: what lies on which floor, who imports in a circle, which files are large.

usage: python packaging/structure.py [FOLDER]      FOLDER: a checkout to look at, this one when left out

A file stands one floor above the highest that it imports; imports inside functions and under ``TYPE_CHECKING`` count.
Needs what the extra ``test`` brings (import-linter's grimp). import-linter holds the walls; this shows the house.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import grimp

PACKAGE = "cnn_studio"
LARGEST = 12


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Groups of two and more that import each other, however long the way (Tarjan's strongly connected components)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        order[node] = low[node] = len(order)
        stack.append(node)
        for other in sorted(edges[node]):
            if other not in order:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], order[other])
        if low[node] == order[node]:
            place = stack.index(node)
            if len(stack) - place > 1:
                found.append(sorted(stack[place:]))
            del stack[place:]

    for node in sorted(edges):
        if node not in order:
            visit(node)
    return found


def floors(edges: dict[str, set[str]]) -> dict[str, int]:
    """The floor of each, the ground being 1; those in a circle share one."""
    leader = {node: group[0] for group in circles(edges) for node in group}
    known: dict[str, int] = {}

    def floor(node: str) -> int:
        node = leader.get(node, node)
        if node not in known:
            members = [member for member, first in leader.items() if first == node] or [node]
            below = {leader.get(other, other) for member in members for other in edges[member]} - {node}
            known[node] = 1 + max(map(floor, below), default=0)
        return known[node]

    return {node: floor(node) for node in edges}


def main() -> int:
    """Print the structure; 1 where something imports in a circle."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1]).resolve()
    sys.path.insert(0, str(root))
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    files: dict[str, Path] = {}
    for path in sorted((root / PACKAGE).rglob("*.py")):
        module = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        files[module] = path
    lines = {module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in files.items()}
    edges = {module: set(graph.find_modules_directly_imported_by(module)) - {module} for module in files}

    def short(module: str) -> str:
        return module.removeprefix(f"{PACKAGE}.")

    print(f"{len(files)} files, {sum(lines.values()):,} lines, {sum(map(len, edges.values())):,} imports")
    for package in (f"{PACKAGE}.core", f"{PACKAGE}.gui"):
        loose = [m for m in files if m.startswith(f"{package}.") and "." not in m.removeprefix(f"{package}.")]
        loose = [m for m in loose if files[m].name != "__init__.py"]
        print(f"\n{short(package)}: {len(loose)} loose files: {', '.join(m.rpartition('.')[2] for m in loose)}")
        room_of = {m: m.removeprefix(f"{package}.").split(".")[0] for m in files if m.startswith(f"{package}.")}
        between: dict[str, set[str]] = defaultdict(set)
        for module, room in room_of.items():
            between[room] |= {room_of[other] for other in edges[module] if other in room_of} - {room}
        where = floors(between)
        for floor in range(max(where.values()), 0, -1):
            rooms = []
            for room in sorted(name for name, on in where.items() if on == floor):
                inside = [m for m, r in room_of.items() if r == room and files[m].name != "__init__.py"]
                rooms.append(f"{room} ({len(inside)} files, {sum(lines[m] for m in inside):,} lines)")
            print(f"  floor {floor}: {', '.join(rooms)}")
        of_files = floors({m: {other for other in edges[m] if other in room_of} for m in room_of})
        print(f"  its files, taken alone, lie on {max(of_files.values())} floors")

    print(f"\nThe {LARGEST} largest files:")
    for module in sorted(lines, key=lambda m: -lines[m])[:LARGEST]:
        print(f"  {lines[module]:>5}  {short(module)}")
    crumbs = [m for m in files if lines[m] < 15 and files[m].name != "__init__.py"]
    print(f"Files of fewer than 15 lines: {', '.join(map(short, crumbs)) or 'none'}")

    found = circles(edges)
    print(f"\nCircles: {len(found) or 'none'}")
    for group in found:
        print(f"  {' <-> '.join(map(short, group))}")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
