"""How plots look: the colours and lines that all of them share."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Look:
    """Colours, `#rrggbb`: of text and frames, of what is less important, of a grid, and of one series after another."""

    ink: str
    muted: str
    rule: str
    series: tuple[str, ...]

    def style(self) -> dict[str, Any]:
        """What matplotlib is told of it."""
        return {
            "axes.axisbelow": True,
            "axes.edgecolor": self.muted,
            "axes.grid": True,
            "axes.labelcolor": self.ink,
            "axes.spines.right": False,
            "axes.spines.top": False,
            "figure.constrained_layout.use": True,
            "font.family": "DejaVu Sans",
            "font.size": 11.0,
            "grid.color": self.rule,
            "grid.linewidth": 0.8,
            "lines.linewidth": 1.7,
            "lines.markersize": 5.0,
            "svg.fonttype": "none",
            "text.color": self.ink,
            "text.parse_math": False,
            "xtick.color": self.muted,
            "xtick.labelcolor": self.ink,
            "ytick.color": self.muted,
            "ytick.labelcolor": self.ink,
        }


PAPER = Look(
    ink="#16191d",
    muted="#5a626c",
    rule="#dfe3e8",
    series=("#0069b4", "#c44e00", "#00805a", "#a0438f", "#7a6a00", "#4b4f57"),
)
"""Black on white, for pictures that stand alone."""
