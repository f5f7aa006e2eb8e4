//! The picture: three growths beside each other; units, the item's size and time in each.

use lab::recording::Point;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;
use std::ops::Range;
use testkit::engine::AnyError;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// What a line shows of a point, beside the first one.
type Figure = fn(&Point, &Point) -> f64;

/// The lines: what, in which colour.
const LINES: [(&str, RGBColor, Figure); 3] = [
    (
        "write units a callback",
        RGBColor(0, 90, 160),
        |point, _| point.units,
    ),
    (
        "the session's item, KB",
        RGBColor(200, 90, 0),
        |point, _| point.bytes / 1024.0,
    ),
    (
        "time, as a ratio to the first",
        RGBColor(130, 130, 130),
        |point, first| point.ms / first.ms,
    ),
];

/// Draws over age, participants and losses to `file`.
pub(crate) fn draw(
    file: &str,
    [ages, participants, losses]: [&[Point]; 3],
) -> Result<(), AnyError> {
    let area = SVGBackend::new(file, (1200, 360)).into_drawing_area();
    area.fill(&WHITE)?;
    let parts = area.split_evenly((1, 3));
    let whole = |x: &f64| format!("{x:.0}");
    part(
        &parts[0],
        "heartbeats, by callbacks before them",
        (10.0..100_000.0).log_scale(),
        ages,
        whole,
    )?;
    part(
        &parts[1],
        "streams' events, by participants",
        (1.0..500.0).log_scale(),
        participants,
        whole,
    )?;
    part(
        &parts[2],
        "heartbeats, by % of them lost",
        0.0..20.0,
        losses,
        whole,
    )?;
    area.present()?;
    Ok(())
}

fn part<X>(
    area: &Area<'_>,
    title: &str,
    x: X,
    points: &[Point],
    label: impl Fn(&f64) -> String,
) -> Result<(), AnyError>
where
    X: AsRangedCoord<Value = f64>,
    X::CoordDescType: ValueFormatter<f64>,
{
    let y: Range<f64> = 0.0..3.0;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 16))
        .margin(10)
        .x_label_area_size(28)
        .y_label_area_size(32)
        .build_cartesian_2d(x, y)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_label_formatter(&label)
        .y_labels(7)
        .draw()?;
    for (name, colour, value) in LINES {
        let line = || {
            points
                .iter()
                .map(|point| (point.at, value(point, &points[0])))
        };
        chart
            .draw_series(LineSeries::new(line(), colour.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], colour.stroke_width(2)));
        chart.draw_series(line().map(|at| Circle::new(at, 3, colour.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .border_style(RGBColor(200, 200, 200))
        .draw()?;
    Ok(())
}
