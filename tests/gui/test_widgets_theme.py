import itertools

import pytest
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QLabel, QLineEdit, QListWidget, QPushButton, QVBoxLayout, QWidget

from cnn_studio.core.paths import resource_dir
from cnn_studio.gui.look import theme
from cnn_studio.gui.look.style_sheet import DARK, LIGHT
from cnn_studio.gui.look.theme import TextSize


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2."""
    channels = [channel / 255 for channel in QColor(colour).getRgb()[:3]]
    linear = [value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_every_text_reaches_wcag_aa(palette):
    on_plain = itertools.product(
        ("text", "muted", "accent", "good", "warning", "error", "training", "validation"), ("background", "surface")
    )
    on_tinted = [
        ("accent_text", "accent"),
        ("accent_text", "accent_hover"),
        ("text", "accent_soft"),
        ("muted", "accent_soft"),
        ("text", "hover"),
        ("text", "error_soft"),
        ("text", "warning_soft"),
        ("error", "error_soft"),
        ("tooltip_text", "tooltip"),
    ]
    poor = {
        (ink, paper): round(contrast(getattr(palette, ink), getattr(palette, paper)), 2)
        for ink, paper in [*on_plain, *on_tinted]
        if contrast(getattr(palette, ink), getattr(palette, paper)) < 4.5
    }
    assert poor == {}


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_edges_of_controls_and_disabled_text_can_be_seen(palette):
    for ink, paper in itertools.product(("outline", "disabled"), ("background", "surface")):
        assert contrast(getattr(palette, ink), getattr(palette, paper)) >= 3, (ink, paper)


def test_the_theme_changes_while_the_window_is_open(qapp, qtbot):
    button = QPushButton("Train")
    qtbot.addWidget(button)
    theme.set_icon(button, "train")
    before = button.icon().cacheKey()
    with qtbot.waitSignal(theme.theme().theme_changed):
        theme.apply_theme(qapp, "dark")
    assert theme.colours() is DARK
    assert qapp.palette().color(QPalette.ColorRole.Window).name() == DARK.background
    assert button.icon().cacheKey() != before
    theme.apply_theme(qapp, "light")
    assert button.icon().cacheKey() == before


def test_the_environment_fixes_the_theme_and_a_mistyped_one_does_not_matter(qapp, monkeypatch):
    monkeypatch.setenv(theme.SCHEME_VARIABLE, "Dark")
    theme.apply_theme(qapp)
    assert theme.colours() is DARK
    monkeypatch.setenv(theme.SCHEME_VARIABLE, "drak")
    theme.apply_theme(qapp)
    assert theme.colours() is LIGHT
    with pytest.raises(ValueError, match="purple"):
        theme.apply_theme(qapp, "purple")


def test_it_follows_the_system_only_when_not_fixed(qapp, monkeypatch):
    monkeypatch.setattr(theme, "_system_scheme", lambda app: theme.Scheme.DARK)
    monkeypatch.delenv(theme.SCHEME_VARIABLE, raising=False)
    qapp.styleHints().colorSchemeChanged.emit(Qt.ColorScheme.Dark)
    assert theme.colours() is LIGHT  # the fixture fixed it
    theme.apply_theme(qapp)
    monkeypatch.setattr(theme, "_system_scheme", lambda app: theme.Scheme.LIGHT)
    qapp.styleHints().colorSchemeChanged.emit(Qt.ColorScheme.Light)
    assert theme.colours() is LIGHT


def test_every_icon_can_be_drawn_in_the_text_colour(qapp):
    names = sorted(path.stem for path in (resource_dir() / "icons").glob("*.svg"))
    assert {"data", "model", "train", "predict", "runs", "help", "app"} <= set(names)
    for name in names:
        image = theme.icon(name).pixmap(QSize(24, 24)).toImage()
        inked = {
            image.pixelColor(x, y).name()
            for x, y in itertools.product(range(image.width()), range(image.height()))
            if image.pixelColor(x, y).alpha() == 255
        }
        assert inked, name
        if name in {"data", "model", "train", "predict", "runs", "help"}:
            assert LIGHT.text in inked, name


def test_text_sizes_follow_the_applications_font(qapp, qtbot):
    labels = {size: QLabel("Text") for size in TextSize}
    for size, label in labels.items():
        qtbot.addWidget(label)
        theme.set_text_size(label, size)
        label.ensurePolished()
    points = qapp.font().pointSizeF()
    for size, label in labels.items():
        assert label.font().pointSizeF() == pytest.approx(points * theme.TEXT_SCALE[size], abs=0.1)
    assert theme.text_font(TextSize.TITLE).pointSizeF() > points > theme.text_font(TextSize.SMALL).pointSizeF()


def test_the_accented_button_is_drawn_in_the_accent_colour(qtbot):
    button = QPushButton("Train")
    qtbot.addWidget(button)
    theme.accent_button(button)
    button.resize(120, 40)
    image = button.grab().toImage()
    assert image.pixelColor(10, 20).name() == LIGHT.accent
    button.setEnabled(False)
    assert button.grab().toImage().pixelColor(10, 20).name() == LIGHT.hover


def test_a_list_without_the_focus_is_not_framed_as_if_it_had_it(qtbot):
    outer = QWidget()
    qtbot.addWidget(outer)
    layout = QVBoxLayout(outer)
    line, names = QLineEdit(), QListWidget()
    names.addItem("a")
    layout.addWidget(line)
    layout.addWidget(names)
    outer.show()
    qtbot.waitExposed(outer)
    line.setFocus()
    frame = names.geometry()
    top = outer.grab().toImage().pixelColor(frame.center().x(), frame.top())
    assert top.name() == LIGHT.border
