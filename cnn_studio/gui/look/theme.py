"""The look of the window: one palette for light and one for dark, three text sizes, an 8 px rhythm, icons.

Widgets that paint themselves ask ``colours()`` while painting and repaint on ``theme().theme_changed``; everything else
gets its look from the application's palette and style sheet. A test holds every pair of colours to WCAG 2 AA.
"""

from __future__ import annotations

import os
from enum import StrEnum
from functools import cache

from PySide6.QtCore import QByteArray, QObject, QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import QColor, QFont, QGuiApplication, QIcon, QPainter, QPalette, QPixmap
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QAbstractButton, QApplication, QStyleFactory, QWidget

from cnn_studio.core.paths import resource_dir
from cnn_studio.gui.look.style_sheet import DARK, LIGHT, Palette, style_sheet

SPACE = 8
"""The rhythm in device-independent pixels: margins and gaps are 1, 2 or 3 times this."""

SPACE_HALF = SPACE // 2
SPACE_2 = 2 * SPACE
SPACE_3 = 3 * SPACE

RADIUS = 8
"""Corner radius of a card, in device-independent pixels."""

SCHEME_VARIABLE = "CNN_STUDIO_THEME"
"""Environment variable that fixes the theme: "light" or "dark"."""


class Scheme(StrEnum):
    """Light or dark."""

    LIGHT = "light"
    DARK = "dark"


class TextSize(StrEnum):
    """The three sizes of text, relative to the application's font."""

    TITLE = "title"
    BODY = "body"
    SMALL = "small"


TEXT_SCALE = {TextSize.TITLE: 1.5, TextSize.BODY: 1.0, TextSize.SMALL: 0.9}


class Theme(QObject):
    """The theme in use; follows the system unless a scheme was fixed."""

    theme_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.scheme = Scheme.LIGHT
        self._fixed = False
        self._following = False

    @property
    def palette(self) -> Palette:
        """The colours in use."""
        return DARK if self.scheme is Scheme.DARK else LIGHT

    def apply(self, app: QApplication, scheme: Scheme | None) -> None:
        """Give the application its look; see ``apply_theme``."""
        self._fixed = scheme is not None
        hints = app.styleHints()
        if not self._following:
            hints.colorSchemeChanged.connect(self._follow_system)
            self._following = True
        app.setStyle(QStyleFactory.create("Fusion"))
        self._show(app, scheme or _system_scheme(app))

    @Slot()
    def _follow_system(self) -> None:
        app = QApplication.instance()
        if isinstance(app, QApplication) and not self._fixed:
            self._show(app, _system_scheme(app))

    def _show(self, app: QApplication, scheme: Scheme) -> None:
        self.scheme = scheme
        colour = self.palette
        app.setPalette(_qt_palette(colour))
        scale = {size.value: factor for size, factor in TEXT_SCALE.items()}
        app.setStyleSheet(style_sheet(colour, app.font().pointSizeF(), scale, resource_dir() / "icons"))
        self.theme_changed.emit()


def apply_theme(app: QApplication, scheme: str | None = None) -> Theme:
    """Give the application its style, palette and style sheet, and keep following the system's light or dark.

    Args:
        app: the application.
        scheme: "light" or "dark" to fix it; None asks the environment's ``CNN_STUDIO_THEME``, then the system.

    Raises:
        ValueError: ``scheme`` is neither.
    """
    wanted = scheme or os.environ.get(SCHEME_VARIABLE, "").strip().lower()
    if scheme is None and wanted not in set(Scheme):
        wanted = ""  # a mistyped variable is no reason not to start
    theme().apply(app, Scheme(wanted) if wanted else None)
    return theme()


@cache
def theme() -> Theme:
    """The one theme object, for ``theme_changed``."""
    return Theme()


def colours() -> Palette:
    """The colours of the theme in use."""
    return theme().palette


def text_font(size: TextSize, *, bold: bool = False) -> QFont:
    """The application's font in one of the three sizes, for painting."""
    font = QFont(QGuiApplication.font())
    font.setPointSizeF(font.pointSizeF() * TEXT_SCALE[size])
    font.setBold(bold)
    return font


def set_text_size(widget: QWidget, size: TextSize, *, bold: bool = False) -> None:
    """Show a label or other widget's text in one of the three sizes; the title size is always half bold."""
    widget.setProperty("textSize", size.value)
    widget.setProperty("strong", bold)
    repolish(widget)


def set_muted(widget: QWidget, *, muted: bool = True) -> None:
    """Show a label in the quieter colour."""
    widget.setProperty("muted", muted)
    repolish(widget)


def set_card(widget: QWidget, *, card: bool = True) -> None:
    """Draw a frame's or container's background as a rounded surface."""
    widget.setProperty("card", card)
    widget.setAttribute(Qt.WidgetAttribute.WA_StyledBackground, card)
    repolish(widget)


def accent_button(button: QAbstractButton, *, accent: bool = True) -> None:
    """Mark the page's one accented button."""
    button.setProperty("accent", accent)
    repolish(button)


def flat_button(button: QAbstractButton) -> None:
    """Mark a button that stands back: no border until the pointer or the keyboard reaches it."""
    button.setProperty("quiet", True)
    repolish(button)


def repolish(widget: QWidget) -> None:
    """Make the style sheet look at a widget's changed properties."""
    style = widget.style()
    style.unpolish(widget)
    style.polish(widget)


def _system_scheme(app: QApplication) -> Scheme:
    return Scheme.DARK if app.styleHints().colorScheme() is Qt.ColorScheme.Dark else Scheme.LIGHT


def _qt_palette(colour: Palette) -> QPalette:
    role = QPalette.ColorRole
    palette = QPalette()
    for which, value in {
        role.Window: colour.background,
        role.WindowText: colour.text,
        role.Base: colour.surface,
        role.AlternateBase: colour.background,
        role.Text: colour.text,
        role.Button: colour.surface,
        role.ButtonText: colour.text,
        role.BrightText: colour.error,
        role.ToolTipBase: colour.tooltip,
        role.ToolTipText: colour.tooltip_text,
        role.PlaceholderText: colour.muted,
        role.Highlight: colour.accent,
        role.HighlightedText: colour.accent_text,
        role.Accent: colour.accent,
        role.Link: colour.accent,
        role.LinkVisited: colour.accent,
        role.Light: colour.surface,
        role.Midlight: colour.border,
        role.Mid: colour.border,
        role.Dark: colour.outline,
        role.Shadow: colour.outline,
    }.items():
        palette.setColor(which, QColor(value))
    for which in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, which, QColor(colour.disabled))
    palette.setColor(QPalette.ColorGroup.Disabled, role.Highlight, QColor(colour.border))
    palette.setColor(QPalette.ColorGroup.Disabled, role.Accent, QColor(colour.outline))
    return palette


# -- icons ------------------------------------------------------------------------------------------------------------

_ICON_SIZES = (16, 20, 24, 32, 48, 64, 96, 128)


def icon(name: str, colour: str = "") -> QIcon:
    """One of our own drawings in ``resources/icons``, in the theme's text colour.

    Args:
        name: the file's name without ``.svg``.
        colour: another colour, ``#rrggbb``. It does not follow the theme by itself: see ``set_icon``.
    """
    return _icon(name, colour or colours().text, colours().disabled)


def icon_pixmap(name: str, edge: int, ratio: float, colour: str = "") -> QPixmap:
    """The same as a square pixmap.

    Args:
        name: as ``icon``.
        edge: its side in device-independent pixels.
        ratio: device pixels per such pixel.
        colour: as ``icon``.
    """
    return _drawn(name, edge, ratio, colour or colours().text)


def set_icon(button: QAbstractButton, name: str) -> None:
    """Give a button an icon that follows the theme."""
    _IconFollower(button, name)


class _IconFollower(QObject):
    """Lives as a button's child, so that it ends with it."""

    def __init__(self, button: QAbstractButton, name: str) -> None:
        super().__init__(button)
        self._button = button
        self._name = name
        theme().theme_changed.connect(self._renew)
        self._renew()

    @Slot()
    def _renew(self) -> None:
        accented = bool(self._button.property("accent"))
        self._button.setIcon(icon(self._name, colours().accent_text if accented else ""))


@cache
def _icon(name: str, colour: str, disabled: str) -> QIcon:
    if name == "app":
        return _app_icon()
    made = QIcon()
    for edge in _ICON_SIZES:
        made.addPixmap(_drawn(name, edge, 1.0, colour))
        made.addPixmap(_drawn(name, edge, 1.0, disabled), QIcon.Mode.Disabled)
    return made


def _app_icon() -> QIcon:
    made = QIcon()
    for edge in (*_ICON_SIZES, 256):
        made.addPixmap(_drawn("app", edge, 1.0, "#000000"))
    return made


@cache
def _drawn(name: str, edge: int, ratio: float, colour: str) -> QPixmap:
    svg = (resource_dir() / "icons" / f"{name}.svg").read_text(encoding="utf-8").replace("currentColor", colour)
    pixmap = QPixmap(QSize(round(edge * ratio), round(edge * ratio)))
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    QSvgRenderer(QByteArray(svg.encode())).render(painter, QRectF(pixmap.rect()))
    painter.end()
    pixmap.setDevicePixelRatio(ratio)
    return pixmap
