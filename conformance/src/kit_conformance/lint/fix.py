"""The mechanical fixes, made in the text: comments and everything that is right stay as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import yaml

from kit_conformance.lint.check import Finding, check
from kit_conformance.lint.checks import CONTAINER
from kit_conformance.lint.objects import find, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from kit_conformance.lint.objects import Object, Path_

_LIMIT: Final = 100  # fixes of one file; each is followed by another look
_RESTRICTED: Final = (
    "allowPrivilegeEscalation: false",
    "capabilities: {drop: [ALL]}",
    "runAsNonRoot: true",
    "seccompProfile: {type: RuntimeDefault}",
)


class _Edit(NamedTuple):
    """Replace text[start:stop] by new."""

    start: int
    stop: int
    new: str


def fix(text: str, source: str = "") -> tuple[str, list[Finding]]:
    """Return a manifest with everything fixed that can be by rule, and what was fixed.

    One thing is fixed at a time and the result read again, so that no fix works with the places of another.
    """
    fixed: list[Finding] = []
    for _ in range(_LIMIT):
        for finding in check(parse(text, source)).findings:
            edits = list(_MENDS[finding.rule.name](text, finding)) if finding.rule.name in _MENDS else []
            if edits:
                text = _apply(text, edits)
                fixed.append(finding)
                break
        else:
            break
    return text, fixed


def _apply(text: str, edits: list[_Edit]) -> str:
    for edit in sorted(edits, reverse=True):
        text = text[: edit.start] + edit.new + text[edit.stop :]
    return text


def _name(text: str, finding: Finding) -> Iterator[_Edit]:
    del text
    node = _exact(finding.subject, finding.path)
    if node is None:
        yield from _insert(finding.subject, ("spec", "container"), f"name: {CONTAINER}")
    else:
        yield _Edit(node.start_mark.index, node.end_mark.index, CONTAINER)


def _workload(text: str, finding: Finding) -> Iterator[_Edit]:
    del text
    node = _exact(finding.subject, ("spec", "workloadType"))
    if node is None:
        yield from _insert(finding.subject, ("spec",), "workloadType: initContainer")


def _multi(text: str, finding: Finding) -> Iterator[_Edit]:
    del text
    if _exact(finding.subject, ("spec", "supportsMultiModelDownload")) is None:
        yield from _insert(finding.subject, ("spec",), "supportsMultiModelDownload: false")


def _anchor(text: str, finding: Finding) -> Iterator[_Edit]:
    node = _exact(finding.subject, finding.path)
    if node is not None:
        quoted = text[node.start_mark.index] in "'\""
        start, stop = node.start_mark.index + quoted, node.end_mark.index - quoted
        several = "|" in text[start:stop]
        yield _Edit(start, start, "^(?:" if several else "^")
        if several:
            yield _Edit(stop, stop, ")")


def _optional(text: str, finding: Finding) -> Iterator[_Edit]:
    del text
    there = _exact(finding.subject, (*finding.path, "optional"))
    if there is not None:
        yield _Edit(there.start_mark.index, there.end_mark.index, "true")
    else:
        yield from _insert(finding.subject, finding.path, "optional: true")


def _context(text: str, finding: Finding) -> Iterator[_Edit]:
    del text
    where = ("spec", "container", "securityContext")
    if _exact(finding.subject, where) is None:
        yield from _insert(finding.subject, where[:-1], f"securityContext: {{{', '.join(_RESTRICTED)}}}")


def _formats(text: str, finding: Finding) -> Iterator[_Edit]:
    """Move the lines of the list from the container up to spec."""
    spec, container = find(finding.subject.node, ("spec",)), find(finding.subject.node, ("spec", "container"))
    if not isinstance(spec, yaml.MappingNode) or not isinstance(container, yaml.MappingNode):
        return
    if (
        spec.flow_style
        or container.flow_style
        or _exact(finding.subject, ("spec", "supportedUriFormats")) is not None
    ):
        return
    key, value = next(pair for pair in container.value if pair[0].value == "supportedUriFormats")
    if container.value[0][0] is key:  # its line begins with the dash or key of the container itself
        return
    start = text.rindex("\n", 0, key.start_mark.index) + 1
    stop = _end(text, value)
    shift = container.start_mark.column - spec.start_mark.column
    lines = [
        line[shift:] if not line[:shift].strip() else line
        for line in text[start:stop].splitlines(keepends=True)
    ]
    at = text.rindex("\n", 0, spec.start_mark.index) + 1
    moved = "".join(lines)
    yield _Edit(start, stop, "")
    yield _Edit(at, at, moved if moved.endswith("\n") else moved + "\n")


def _end(text: str, node: yaml.Node) -> int:
    """Return where the line ends on which a node has its last word."""
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    end = text.find("\n", node.end_mark.index)
    return len(text) if end < 0 else end + 1


def _exact(subject: Object, path: Path_) -> yaml.Node | None:
    """Return the node at a path, None if there is none."""
    above, node = find(subject.node, path[:-1]), find(subject.node, path)
    return None if node is above else node


def _insert(subject: Object, path: Path_, entry: str) -> Iterator[_Edit]:
    """Put an entry at the beginning of a map."""
    node = _exact(subject, path)
    if not isinstance(node, yaml.MappingNode):
        return
    at = node.start_mark.index
    if node.flow_style:
        yield _Edit(at + 1, at + 1, f"{entry}, " if node.value else entry)
    else:
        yield _Edit(at, at, f"{entry}\n{' ' * node.start_mark.column}")


_MENDS: Final[Mapping[str, Callable[[str, Finding], Iterator[_Edit]]]] = {
    "container-name": _name,
    "formats-place": _formats,
    "multi-model-missing": _multi,
    "regex-unanchored": _anchor,
    "secret-optional": _optional,
    "security-context": _context,
    "workload-type-missing": _workload,
}
