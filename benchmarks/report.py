"""What a benchmark has to tell: ratios, slopes over sizes, and notes beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from benchmarks.measure import Ratio


@dataclass(frozen=True, slots=True)
class Compared:
    """Ours and theirs, as they are shown with their unit; `how` reads after the ratio, `target` stands beside it."""

    name: str
    ours: str
    theirs: str
    how: str
    ratio: float
    spread: tuple[float, float]
    target: str = ""

    @classmethod
    def of(cls, name: str, shown: tuple[str, str], how: str, ratios: Sequence[float], target: str = "") -> "Compared":
        """By the ratios of interleaved pairs."""
        return cls(name, *shown, how, median(ratios), (min(ratios), max(ratios)), target)


@dataclass(frozen=True, slots=True)
class Slope:
    """One figure by how many searches stand."""

    name: str
    unit: str
    values: Mapping[int, float]


@dataclass(slots=True)
class Report:
    compared: list[Compared] = field(default_factory=list)
    slopes: list[Slope] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, more: "Report") -> None:
        """Slopes of one name become one line."""
        self.compared += more.compared
        for slope in more.slopes:
            same = [each for each in self.slopes if (each.name, each.unit) == (slope.name, slope.unit)]
            for each in same:
                self.slopes[self.slopes.index(each)] = replace(each, values={**each.values, **slope.values})
            if not same:
                self.slopes.append(slope)
        self.notes += more.notes


def compared(ratio: Ratio, target: str = "") -> Compared:
    """A ratio of times, as the others are shown."""
    shown = f"{ratio.ours * 1e6:,.1f} µs", f"{ratio.theirs * 1e6:,.1f} µs"
    return Compared(ratio.name, *shown, "times faster", ratio.ratio, ratio.spread, target)


def text(report: Report) -> str:
    """As Markdown."""
    return "\n\n".join(part for part in (_ratios(report), _slopes(report), _notes(report)) if part) + "\n"


def _ratios(report: Report) -> str:
    lines = ["| what | ours | theirs | ours is | spread | target |", "|---|---:|---:|---:|---:|---|"]
    lines += [
        f"| {each.name} | {each.ours} | {each.theirs} | {each.ratio:,.2f} {each.how} |"
        f" {each.spread[0]:,.2f} – {each.spread[1]:,.2f} | {each.target} |"
        for each in report.compared
    ]
    return "\n".join(lines) if report.compared else ""


def _slopes(report: Report) -> str:
    sizes = sorted({size for slope in report.slopes for size in slope.values})
    lines = [
        f"| by standing searches | {' | '.join(f'{size:,}' for size in sizes)} |",
        "|---|" + "---:|" * len(sizes),
    ]
    for slope in report.slopes:
        cells = (f"{slope.values[size]:,.2f}" if size in slope.values else "" for size in sizes)
        lines.append(f"| {slope.name}, {slope.unit} | {' | '.join(cells)} |")
    return "\n".join(lines) if report.slopes else ""


def _notes(report: Report) -> str:
    return "\n".join(f"- {note}" for note in report.notes)
