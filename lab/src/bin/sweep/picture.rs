//! The picture: what a whole sweep takes, by recordings.

use crate::growth::Point;
use lab::AnyError;
use plotters::prelude::*;

/// A figure of a sweep.
type Figure = fn(&Point) -> f64;

/// The parts: what, and how much of it a sweep takes.
const PARTS: [(&str, RGBColor, Figure); 3] = [
    (
        "time of a sweep, as a ratio to the first",
        RGBColor(130, 130, 130),
        |point| f64::from(point.recordings) * point.us,
    ),
    ("requests of a sweep", RGBColor(0, 90, 160), |point| {
        f64::from(point.recordings) * point.requests
    }),
    ("read units of a sweep", RGBColor(200, 90, 0), |point| {
        f64::from(point.recordings) * point.read_units
    }),
];

/// Draws to `file`. Both axes are linear, so that a line is a line.
pub(crate) fn draw(file: &str, points: &[Point]) -> Result<(), AnyError> {
    let area = SVGBackend::new(file, (1200, 360)).into_drawing_area();
    area.fill(&WHITE)?;
    let last = points.last().ok_or("nothing to draw")?;
    for (n, (part, (title, colour, figure))) in
        area.split_evenly((1, 3)).iter().zip(PARTS).enumerate()
    {
        let unit = if n == 0 { figure(&points[0]) } else { 1.0 };
        let value = |point: &Point| figure(point) / unit;
        let highest = points.iter().map(value).fold(1.0, f64::max) * 1.1;
        let mut chart = ChartBuilder::on(part)
            .caption(title, ("sans-serif", 16))
            .margin(10)
            .x_label_area_size(40)
            .y_label_area_size(60)
            .build_cartesian_2d(0.0..f64::from(last.recordings), 0.0..highest)?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .x_desc("recordings")
            .x_labels(5)
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_label_formatter(&|y| format!("{y:.0}"))
            .draw()?;
        let line = || {
            let at = |point: &Point| (f64::from(point.recordings), value(point));
            points.iter().map(at)
        };
        chart.draw_series(LineSeries::new(line(), colour.stroke_width(2)))?;
        chart.draw_series(line().map(|at| Circle::new(at, 3, colour.filled())))?;
    }
    area.present()?;
    Ok(())
}
