"""Draw a figure once, and copy what was drawn into as many formats as are wanted.

Most of the time of a drawing goes into walking through its axes, ticks and texts. A
:class:`Recorder` is a renderer that notes the strokes which come out of this walk: paths, markers
and lines of text with their places in pixels. :class:`Recording` is an artist that draws them again
on any other renderer:

    figure ── draw(Recorder) ──> strokes ── Recording, alone in a figure ──> savefig: PNG, SVG, PDF

Import this module within :func:`.style.style` only, since it imports matplotlib.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from matplotlib.artist import Artist
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Affine2D, Bbox


@dataclass(frozen=True)
class _Place:
    """How pixels of a recording become those of another renderer.

    :ivar scale: new pixels for each recorded one.
    :ivar height: new pixels from the bottom to the top, where texts are counted from the top.
    """

    scale: float
    height: float | None

    def matrix(self, recorded: Any) -> Affine2D:
        """Return a recorded matrix, (3, 3), as a transform to the new pixels."""
        scaled = recorded.copy()
        scaled[:2] *= self.scale
        return Affine2D(scaled)


@dataclass(frozen=True)
class _Path:
    """A path, filled if it has a face."""

    gc: Any
    path: Any
    matrix: Any
    face: Any

    def draw(self, renderer: Any, gc: Any, place: _Place) -> None:
        renderer.draw_path(gc, self.path, place.matrix(self.matrix), self.face)


@dataclass(frozen=True)
class _Markers:
    """A marker at each vertex of a path."""

    gc: Any
    marker: Any
    marker_matrix: Any
    path: Any
    matrix: Any
    face: Any

    def draw(self, renderer: Any, gc: Any, place: _Place) -> None:
        marker_place = place.matrix(self.marker_matrix)
        matrix = place.matrix(self.matrix)
        renderer.draw_markers(gc, self.marker, marker_place, self.path, matrix, self.face)


@dataclass(frozen=True)
class _Line:
    """A line of text; `x` and `y` are its left end on the baseline, from below."""

    gc: Any
    x: float
    y: float
    text: str
    font: Any
    angle: float
    is_math: Any

    def draw(self, renderer: Any, gc: Any, place: _Place) -> None:
        x = self.x * place.scale
        y = self.y * place.scale
        if place.height is not None:
            y = place.height - y
        renderer.draw_text(gc, x, y, self.text, self.font, self.angle, ismath=self.is_math)


class Recorder(RendererBase):
    """A renderer that measures texts, and notes what is drawn."""

    def __init__(self, dpi: float) -> None:
        super().__init__()
        self.dpi = dpi
        self.strokes: list[_Path | _Markers | _Line] = []
        agg: Any = RendererAgg
        self._measuring = agg(1, 1, dpi)

    def flipy(self) -> bool:
        return False

    def get_canvas_width_height(self) -> tuple[float, float]:
        # Who asks needs it for flipped axes alone
        return 0, 0

    def points_to_pixels(self, points: Any) -> Any:
        return points * self.dpi / 72

    def get_text_width_height_descent(
        self, s: str, prop: Any, ismath: Any
    ) -> tuple[float, float, float]:
        return self._measuring.get_text_width_height_descent(s, prop, ismath)

    def draw_path(self, gc: Any, path: Any, transform: Any, rgbFace: Any = None) -> None:
        self.strokes.append(_Path(self._copy(gc), path, transform.get_matrix(), rgbFace))

    def draw_markers(
        self,
        gc: Any,
        marker_path: Any,
        marker_trans: Any,
        path: Any,
        trans: Any,
        rgbFace: Any = None,
    ) -> None:
        marker_matrix = marker_trans.get_matrix()
        matrix = trans.get_matrix()
        stroke = _Markers(self._copy(gc), marker_path, marker_matrix, path, matrix, rgbFace)
        self.strokes.append(stroke)

    def draw_text(
        self,
        gc: Any,
        x: float,
        y: float,
        s: str,
        prop: Any,
        angle: float,
        ismath: Any = False,
        mtext: Any = None,
    ) -> None:
        self.strokes.append(_Line(self._copy(gc), x, y, s, prop, angle, ismath))

    def _copy(self, gc: Any) -> Any:
        """Return a copy of a graphics context, since artists change and restore theirs."""
        copy = self.new_gc()
        copy.copy_properties(gc)
        clip = gc.get_clip_rectangle()
        if clip is not None:
            copy.set_clip_rectangle(clip.frozen())
        return copy


@cache
def recorder(dpi: float) -> Recorder:
    """Return the recorder for a resolution; matplotlib remembers for each the sizes of texts."""
    return Recorder(dpi)


class Recording(Artist):
    """What a recorder noted, as an artist of another figure of the same size in inches."""

    def __init__(self, strokes: list[_Path | _Markers | _Line], dpi: float) -> None:
        super().__init__()
        self._strokes = strokes
        self._dpi = dpi

    def draw(self, renderer: Any) -> None:
        """Draw all strokes on a renderer, which may have another resolution."""
        height = renderer.get_canvas_width_height()[1] if renderer.flipy() else None
        place = _Place(self.figure.dpi / self._dpi, height)
        for stroke in self._strokes:
            gc = renderer.new_gc()
            gc.copy_properties(stroke.gc)
            clip = stroke.gc.get_clip_rectangle()
            if clip is not None:
                gc.set_clip_rectangle(Bbox(clip.get_points() * place.scale))
            stroke.draw(renderer, gc, place)
            gc.restore()


def recorded(figure: Any) -> Figure:
    """Return a figure that looks as another one, and is quick to save in several formats.

    The other one is laid out, and not of use afterwards.
    """
    # Lay out; then nothing needs the sizes of the labels of ticks any more
    figure.get_layout_engine().execute(figure)
    figure.set_layout_engine(None)
    for axes in figure.axes:
        for tick in (*axes.xaxis.majorTicks, *axes.yaxis.majorTicks):
            tick.label1.set_in_layout(False)

    # Draw all but the background, whose colour `savefig` chooses
    figure.patch.set_visible(False)
    renderer = recorder(figure.dpi)
    renderer.strokes = []
    figure.draw(renderer)
    copy = Figure((figure.get_figwidth(), figure.get_figheight()), figure.dpi)
    copy.add_artist(Recording(renderer.strokes, figure.dpi))
    return copy
