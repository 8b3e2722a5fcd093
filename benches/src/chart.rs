//! Curves as SVG, both axes logarithmic; readable on light and on dark.

use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 190.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 55.0;
/// In the middle between black and white, so that they stand out from both; a curve names one by its index.
const COLOURS: [&str; 3] = ["#2f81f7", "#d9730d", "#2da44e"];
const STYLE: &str = "text{font:13px sans-serif;fill:#1f2328}.grid{stroke:#8c959f;stroke-opacity:.35}\
                     .curve{fill:none;stroke-width:2}\
                     @media(prefers-color-scheme:dark){text{fill:#e6edf3}}";

/// A curve through measured points.
#[derive(Clone, Debug)]
pub struct Curve {
    /// As the legend has it.
    pub name: String,
    /// Which colour: 0 to 2.
    pub colour: usize,
    /// Drawn in dashes.
    pub dashed: bool,
    /// Size in bytes and time in ms, both more than 0, by size.
    pub points: Vec<(f64, f64)>,
}

/// Times over sizes.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    /// What is shown.
    pub title: String,
    /// The curves.
    pub curves: Vec<Curve>,
    /// Where two meet: size in bytes, time in ms, what is said of it, and a colour.
    pub marks: Vec<(f64, f64, String, usize)>,
}

/// The logarithmic scales of both axes.
struct Scale {
    x: (f64, f64),
    y: (f64, f64),
}

impl Scale {
    fn x(&self, size: f64) -> f64 {
        LEFT + (size.ln() - self.x.0) / (self.x.1 - self.x.0) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, time: f64) -> f64 {
        HEIGHT - BOTTOM - (time.ln() - self.y.0) / (self.y.1 - self.y.0) * (HEIGHT - TOP - BOTTOM)
    }
}

impl Chart {
    /// The picture.
    ///
    /// # Panics
    ///
    /// When a curve has a colour that there is none of.
    pub fn svg(&self) -> String {
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             role=\"img\">\n\
             <title>{}</title>\n<style>{STYLE}</style>\n",
            self.title
        );
        self.draw(&mut svg).expect("a text grows");
        svg + "</svg>\n"
    }

    fn draw(&self, svg: &mut String) -> std::fmt::Result {
        let points = || self.curves.iter().flat_map(|curve| &curve.points);
        let span = |of: fn(&(f64, f64)) -> f64| {
            points().map(of).fold((f64::MAX, 0.0), |(low, high), one| (one.min(low), one.max(high)))
        };
        let (sizes, times) = (span(|point| point.0), span(|point| point.1));
        let decades = (times.0.log10().floor() as i32, times.1.log10().ceil() as i32);
        let scale = Scale {
            x: (sizes.0.ln(), sizes.1.ln()),
            y: (10f64.powi(decades.0).ln(), 10f64.powi(decades.1).ln()),
        };
        let (left, right, bottom) = (LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM);
        writeln!(svg, "<text x=\"{left}\" y=\"22\">{}</text>", self.title)?;
        for decade in decades.0..=decades.1 {
            let time = 10f64.powi(decade);
            let y = scale.y(time);
            writeln!(svg, "<path class=\"grid\" d=\"M{left} {y:.1}H{right}\"/>")?;
            let said = if decade < 3 { format!("{time} ms") } else { format!("{} s", time / 1e3) };
            writeln!(
                svg,
                "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{said}</text>",
                left - 6.0,
                y + 4.0
            )?;
        }
        let mut size = 1024.0;
        while size <= sizes.1 * 1.1 {
            let x = scale.x(size);
            writeln!(svg, "<path class=\"grid\" d=\"M{x:.1} {TOP}V{bottom}\"/>")?;
            let y = bottom + 18.0;
            writeln!(svg, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{}</text>", bytes(size))?;
            size *= 16.0;
        }
        let middle = f64::midpoint(left, right);
        writeln!(svg, "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">input</text>", HEIGHT - 14.0)?;
        for (idx, curve) in self.curves.iter().enumerate() {
            let path: Vec<String> =
                curve.points.iter().map(|(x, y)| format!("{:.1} {:.1}", scale.x(*x), scale.y(*y))).collect();
            let look = match curve.dashed {
                true => {
                    format!("class=\"curve\" stroke=\"{}\" stroke-dasharray=\"7 5\"", COLOURS[curve.colour])
                }
                false => format!("class=\"curve\" stroke=\"{}\"", COLOURS[curve.colour]),
            };
            writeln!(svg, "<path {look} d=\"M{}\"/>", path.join("L"))?;
            let y = TOP + 12.0 + idx as f64 * 22.0;
            writeln!(svg, "<path {look} d=\"M{} {y}h30\"/>", right + 14.0)?;
            writeln!(svg, "<text x=\"{}\" y=\"{}\">{}</text>", right + 52.0, y + 4.0, curve.name)?;
        }
        for (idx, (x, y, said, colour)) in self.marks.iter().enumerate() {
            let (x, y, colour) = (scale.x(*x), scale.y(*y), COLOURS[*colour]);
            writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"6\" fill=\"{colour}\"/>")?;
            writeln!(svg, "<path class=\"grid\" d=\"M{x:.1} {y:.1}V{bottom}\" stroke-dasharray=\"2 3\"/>")?;
            let below = TOP + 24.0 + (self.curves.len() + idx) as f64 * 22.0;
            writeln!(svg, "<circle cx=\"{}\" cy=\"{below}\" r=\"6\" fill=\"{colour}\"/>", right + 29.0)?;
            writeln!(svg, "<text x=\"{}\" y=\"{}\">{said}</text>", right + 52.0, below + 4.0)?;
        }
        Ok(())
    }
}

/// A size as people say it: `16 KB`.
pub fn bytes(size: f64) -> String {
    match size {
        size if size < 1048576.0 => format!("{:.0} KB", size / 1024.0),
        size => format!("{:.0} MB", size / 1048576.0),
    }
}
