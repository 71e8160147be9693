"""The colours of both themes, and the one style sheet made from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of one theme, each ``#rrggbb``.

    Attributes:
        background: behind everything.
        surface: cards, lists and fields.
        hover: a surface under the pointer, and the empty part of bars.
        text: on background and surface.
        muted: secondary text; still 4.5 : 1.
        disabled: text of controls that are off; readable, about 3 : 1.
        accent: the one accent: the page's main button, links, focus, selection.
        accent_hover: the main button under the pointer.
        accent_text: on accent.
        accent_soft: background of what is selected, under ``text``.
        border: quiet lines between surfaces.
        outline: edges of controls, 3 : 1.
        good, warning, error: text and marks with that meaning.
        good_soft, warning_soft, error_soft: backgrounds for them, under ``text``.
        tooltip, tooltip_text: of tool tips.
        training, validation: curves.
        grid: lines of a plot.
    """

    background: str
    surface: str
    hover: str
    text: str
    muted: str
    disabled: str
    accent: str
    accent_hover: str
    accent_text: str
    accent_soft: str
    border: str
    outline: str
    good: str
    warning: str
    error: str
    good_soft: str
    warning_soft: str
    error_soft: str
    tooltip: str
    tooltip_text: str
    training: str
    validation: str
    grid: str


LIGHT = Palette(
    background="#f4f6f8",
    surface="#ffffff",
    hover="#ebeff2",
    text="#1b2229",
    muted="#59646f",
    disabled="#7d8791",
    accent="#0b6e80",
    accent_hover="#095a69",
    accent_text="#ffffff",
    accent_soft="#dceff2",
    border="#d8dde3",
    outline="#838d98",
    good="#1a7042",
    warning="#855600",
    error="#b3261e",
    good_soft="#e2f3e9",
    warning_soft="#fbf0d9",
    error_soft="#fce8e6",
    tooltip="#1b2229",
    tooltip_text="#f4f6f8",
    training="#0b6e80",
    validation="#b4500a",
    grid="#d8dde3",
)

DARK = Palette(
    background="#191c20",
    surface="#22262b",
    hover="#2d3238",
    text="#e7eaee",
    muted="#a0aab5",
    disabled="#7b8590",
    accent="#58c0d3",
    accent_hover="#7bd0e0",
    accent_text="#06242b",
    accent_soft="#1d3d45",
    border="#363c44",
    outline="#747f8b",
    good="#6fce97",
    warning="#e8b955",
    error="#ff8f85",
    good_soft="#1d3527",
    warning_soft="#3a3019",
    error_soft="#452523",
    tooltip="#e7eaee",
    tooltip_text="#191c20",
    training="#58c0d3",
    validation="#f29d52",
    grid="#363c44",
)

_TEMPLATE = """
/* Names of files and classes are text wherever they are shown: only a label that is told so shows rich text. Message
   boxes and tool tips are labels too, and would load an image from another machine. */
QLabel[textFormat="AutoText"], QToolTip {{ qproperty-textFormat: PlainText; }}
QToolTip {{ background: {tooltip}; color: {tooltip_text}; border: 1px solid {tooltip}; padding: 4px 6px; }}

*[textSize="title"] {{ font-size: {title}pt; font-weight: 600; }}
*[textSize="small"] {{ font-size: {small}pt; }}
*[strong="true"] {{ font-weight: 600; }}
QLabel {{ background: transparent; }}
QLabel[muted="true"] {{ color: {muted}; }}
QLabel[tone="error"] {{ color: {error}; }}
QLabel[tone="warning"] {{ color: {warning}; }}
QLabel[tone="good"] {{ color: {good}; }}

*[card="true"] {{ background: {surface}; border: 1px solid {border}; border-radius: 8px; }}
*[notice="info"] {{ background: {accent_soft}; border: 1px solid {accent}; border-radius: 8px; }}
*[notice="warning"] {{ background: {warning_soft}; border: 1px solid {warning}; border-radius: 8px; }}
*[notice="error"] {{ background: {error_soft}; border: 1px solid {error}; border-radius: 8px; }}

QPushButton, QToolButton {{
    background: {surface}; color: {text}; border: 1px solid {outline}; border-radius: 6px;
    padding: 5px 14px; min-height: 1.4em;
}}
QToolButton {{ padding: 5px 8px; }}
QPushButton:hover, QToolButton:hover {{ background: {hover}; }}
QPushButton:pressed, QPushButton:checked, QToolButton:pressed, QToolButton:checked {{
    background: {accent_soft}; border-color: {accent};
}}
QPushButton:focus, QToolButton:focus {{ border: 2px solid {accent}; padding: 4px 13px; }}
QToolButton:focus {{ padding: 4px 7px; }}
QPushButton:disabled, QToolButton:disabled {{ background: {background}; color: {disabled}; border-color: {border}; }}
QPushButton[accent="true"] {{
    background: {accent}; color: {accent_text}; border-color: {accent}; font-weight: 600;
}}
QPushButton[accent="true"]:hover, QPushButton[accent="true"]:pressed {{
    background: {accent_hover}; border-color: {accent_hover};
}}
QPushButton[accent="true"]:focus {{ border-color: {text}; }}
QPushButton[accent="true"]:disabled {{ background: {hover}; color: {disabled}; border-color: {border}; }}
QPushButton[quiet="true"], QToolButton[quiet="true"] {{ background: transparent; border-color: transparent; }}
QPushButton[quiet="true"]:hover, QToolButton[quiet="true"]:hover {{ background: {hover}; }}
QPushButton[quiet="true"]:checked {{ background: {hover}; border-color: {outline}; }}
QPushButton[quiet="true"]:focus, QToolButton[quiet="true"]:focus {{ border-color: {accent}; }}
QPushButton::menu-indicator, QToolButton::menu-indicator {{ image: none; width: 0; }}

QLineEdit, QAbstractSpinBox, QComboBox, QPlainTextEdit, QTextEdit {{
    background: {surface}; color: {text}; border: 1px solid {outline}; border-radius: 6px; padding: 4px 7px;
    selection-background-color: {accent}; selection-color: {accent_text};
}}
QLineEdit, QAbstractSpinBox, QComboBox {{ min-height: 1.5em; }}
QLineEdit:focus, QAbstractSpinBox:focus, QComboBox:focus, QPlainTextEdit:focus, QTextEdit:focus {{
    border: 2px solid {accent}; padding: 3px 6px;
}}
QLineEdit:disabled, QAbstractSpinBox:disabled, QComboBox:disabled {{
    background: {background}; color: {disabled}; border-color: {border};
}}
QAbstractSpinBox QLineEdit, QComboBox QLineEdit {{
    background: transparent; border: none; padding: 0 5px; min-height: 0;
}}
QAbstractSpinBox {{ padding-right: 22px; }}
QAbstractSpinBox:focus {{ padding-right: 21px; }}
QAbstractSpinBox::up-button, QAbstractSpinBox::down-button {{
    subcontrol-origin: border; width: 20px; border: none; background: transparent; margin: 2px;
}}
QAbstractSpinBox::up-button {{ subcontrol-position: top right; }}
QAbstractSpinBox::down-button {{ subcontrol-position: bottom right; }}
QAbstractSpinBox::up-button:hover, QAbstractSpinBox::down-button:hover {{ background: {hover}; border-radius: 4px; }}
QAbstractSpinBox::up-arrow {{ image: url("{icons}/arrow_up.svg"); width: 10px; height: 10px; }}
QAbstractSpinBox::down-arrow {{ image: url("{icons}/arrow_down.svg"); width: 10px; height: 10px; }}
QComboBox {{ padding-right: 22px; }}
QComboBox::drop-down {{ subcontrol-origin: border; subcontrol-position: center right; width: 22px; border: none; }}
QComboBox::down-arrow {{ image: url("{icons}/arrow_down.svg"); width: 12px; height: 12px; }}
QComboBox QAbstractItemView {{
    background: {surface}; color: {text}; border: 1px solid {outline}; outline: none;
    selection-background-color: {accent_soft}; selection-color: {text};
}}
*[invalid="true"] {{ border: 2px solid {error}; padding: 3px 6px; }}
QAbstractSpinBox[invalid="true"], QComboBox[invalid="true"] {{ padding-right: 21px; }}

QAbstractScrollArea {{ background: {surface}; }}
QScrollArea, QScrollArea > QWidget > QWidget {{ background: transparent; border: none; }}
QListView, QTableView, QTreeView, TileView {{
    background: {surface}; color: {text}; border: 1px solid {border}; border-radius: 8px; outline: none;
    selection-background-color: {accent_soft}; selection-color: {text};
}}
QListView:focus, QTableView:focus, QTreeView:focus, TileView:focus {{ border-color: {accent}; }}
QListWidget::item {{ padding: 0 8px; border: 1px solid transparent; border-radius: 6px; }}
QListWidget::item:hover {{ background: {hover}; }}
QListWidget::item:selected {{ background: {accent_soft}; color: {text}; }}
QListWidget::item:selected:focus {{ border-color: {accent}; }}
#navigation, #navigation:focus {{ background: transparent; border: none; }}
QHeaderView {{ background: transparent; }}
QHeaderView::section {{
    background: {surface}; color: {muted}; border: none; border-bottom: 1px solid {border}; padding: 6px 8px;
}}
QTableView {{ gridline-color: {border}; }}
QTableView::item {{ padding: 2px 5px; }}

QProgressBar {{ background: {hover}; border: none; border-radius: 4px; min-height: 8px; max-height: 8px; }}
QProgressBar::chunk {{ background: {accent}; border-radius: 4px; }}

QCheckBox, QRadioButton {{ spacing: 8px; background: transparent; }}
QCheckBox:disabled, QRadioButton:disabled {{ color: {disabled}; }}
QCheckBox::indicator, QRadioButton::indicator {{
    width: 14px; height: 14px; background: {surface}; border: 1px solid {outline}; border-radius: 4px;
}}
QRadioButton::indicator {{ border-radius: 8px; }}
QCheckBox::indicator:hover, QRadioButton::indicator:hover {{ background: {hover}; }}
QCheckBox::indicator:checked {{
    background: {accent}; border-color: {accent}; image: url("{icons}/check_{scheme}.svg");
}}
QRadioButton::indicator:checked {{ width: 6px; height: 6px; border: 5px solid {accent}; }}
QCheckBox::indicator:focus, QRadioButton::indicator:focus {{ border-color: {text}; }}
QCheckBox:focus, QRadioButton:focus {{ color: {accent}; }}
QCheckBox::indicator:disabled, QRadioButton::indicator:disabled {{ background: {background}; border-color: {border}; }}
QCheckBox::indicator:checked:disabled {{ background: {disabled}; border-color: {disabled}; }}

QScrollBar:vertical {{ background: transparent; width: 12px; margin: 2px; }}
QScrollBar:horizontal {{ background: transparent; height: 12px; margin: 2px; }}
QScrollBar::handle {{ background: {outline}; border-radius: 4px; }}
QScrollBar::handle:vertical {{ min-height: 32px; }}
QScrollBar::handle:horizontal {{ min-width: 32px; }}
QScrollBar::handle:hover {{ background: {muted}; }}
QScrollBar::add-line, QScrollBar::sub-line {{ width: 0; height: 0; }}
QScrollBar::add-page, QScrollBar::sub-page {{ background: transparent; }}

QSlider {{ min-height: 20px; }}
QSlider::groove:horizontal {{ background: {hover}; height: 4px; border-radius: 2px; }}
QSlider::sub-page:horizontal {{ background: {accent}; border-radius: 2px; }}
QSlider::handle:horizontal {{
    background: {surface}; border: 2px solid {accent}; width: 12px; height: 12px; margin: -6px 0; border-radius: 8px;
}}
QSlider::handle:horizontal:focus {{ background: {accent}; }}
QSlider::sub-page:horizontal:disabled {{ background: {border}; }}
QSlider::handle:horizontal:disabled {{ background: {background}; border-color: {border}; }}

QMenu {{ background: {surface}; color: {text}; border: 1px solid {outline}; padding: 4px; }}
QMenu::item {{ padding: 6px 20px; border-radius: 4px; }}
QMenu::item:selected {{ background: {accent_soft}; }}
QMenu::item:disabled {{ color: {disabled}; }}
QMenu::separator {{ height: 1px; background: {border}; margin: 4px 8px; }}
QGroupBox {{ border: none; margin-top: 1.6em; font-weight: 600; }}
QGroupBox::title {{ subcontrol-origin: margin; left: 0; }}
QTabBar {{ background: transparent; }}
QTabBar::tab {{
    background: transparent; color: {muted}; border: none; border-bottom: 2px solid transparent; padding: 6px 14px;
}}
QTabBar::tab:hover {{ color: {text}; }}
QTabBar::tab:selected {{ color: {text}; border-bottom-color: {accent}; }}
QTabBar::tab:selected:focus {{ color: {accent}; }}
QSplitter::handle {{ background: transparent; }}
QDialogButtonBox {{ dialogbuttonbox-buttons-have-icons: 0; }}
"""


def style_sheet(colour: Palette, points: float, scale: Mapping[str, float], icons: Path) -> str:
    """The application's style sheet.

    Args:
        colour: the theme's colours.
        points: the application font's size in points.
        scale: factor of each text size by name: "title", "body", "small".
        icons: the folder with the arrows.
    """
    values = {name: getattr(colour, name) for name in Palette.__slots__}
    values["scheme"] = "dark" if colour is DARK else "light"
    sizes = {size: f"{points * factor:.2f}" for size, factor in scale.items()}
    return _TEMPLATE.format(**values, **sizes, icons=icons.as_posix())
