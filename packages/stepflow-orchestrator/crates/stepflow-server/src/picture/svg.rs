//! Writes a drawing as SVG. It uses no external fonts, scripts or images, so that it looks the same everywhere.

use std::fmt::Write as _;

use super::layout::{Arrow, Drawing, HEAD, ID_SIZE, LINE, Look, Placed, Point, Rect, StepLook, TEXT_SIZE};
use crate::xml::escaped;

/// Fill, border and dark text for each plugin prefix, in the order in which they appear.
const COLOURS: [(&str, &str, &str); 8] = [
    ("#e6effb", "#5b8bc9", "#1f4e8c"),
    ("#e7f4e8", "#5fa566", "#25662c"),
    ("#fdf0de", "#d39b45", "#845408"),
    ("#f2e9f8", "#9a6fc0", "#5b2f83"),
    ("#fbe8e8", "#cd7474", "#8e2f2f"),
    ("#e2f4f3", "#4ba19b", "#14625d"),
    ("#f5f2d8", "#aea23c", "#655c0b"),
    ("#eeeeec", "#8b8b85", "#4a4a45"),
];

const STYLE: &str = "\
text{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;text-anchor:middle;fill:#27313d}
.id{font-size:14px;font-weight:600}.component{font-size:11px}
.step rect{stroke-width:1.25}.inner{fill:#ffffff;stroke:none}
.terminal rect{fill:#3c4857;stroke:none}.terminal text{fill:#ffffff;font-size:14px}
.edge{fill:none;stroke:#8794a3;stroke-width:1.4}.maybe{stroke-dasharray:5 4}
.label rect{fill:#ffffff;fill-opacity:.92}.label text{fill:#52606f;font-size:11px}.label.conditional text{fill:#9a5b00;font-style:italic}
";

/// The text of the file.
pub fn write(name: Option<&str>, drawing: &Drawing<'_>) -> String {
    let (width, height) = (drawing.width.ceil(), drawing.height.ceil());
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} \
         {height}\" role=\"img\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n\
         <defs><marker id=\"arrow\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"7\" markerHeight=\"7\" \
         orient=\"auto\"><path d=\"M1 1L9 5L1 9z\" fill=\"#8794a3\"/></marker></defs>\n\
         <rect class=\"paper\" width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
        escaped(name.unwrap_or("flow"))
    );
    group(&mut out, drawing, Point { x: 0.0, y: 0.0 });
    out.push_str("</svg>\n");
    out
}

/// Lines are drawn first, below everything else, so that they do not cover texts.
fn group(out: &mut String, drawing: &Drawing<'_>, corner: Point) {
    for line in &drawing.lines {
        let class = if line.edge.conditional { "edge maybe" } else { "edge" };
        let d = curve(&line.points, corner);
        let _ = writeln!(out, "<path class=\"{class}\" d=\"{d}\" marker-end=\"url(#arrow)\"/>");
    }
    drawing.boxes.iter().for_each(|placed| node(out, placed, corner));
    drawing.lines.iter().for_each(|line| label(out, line, corner));
}

fn node(out: &mut String, placed: &Placed<'_>, corner: Point) {
    let rect = placed.rect;
    let middle = corner.x + rect.middle();
    match &placed.look {
        Look::Terminal(name) => {
            let y = corner.y + rect.y + rect.height / 2.0 + ID_SIZE * 0.35;
            let round = rect.height / 2.0;
            let _ = writeln!(
                out,
                "<g class=\"terminal\">{}<text x=\"{middle:.1}\" y=\"{y:.1}\">{name}</text></g>",
                rectangle(rect, corner, &format!("rx=\"{round}\"")),
            );
        }
        Look::Step(look) => step(out, look, rect, corner, middle),
    }
}

fn step(out: &mut String, look: &StepLook<'_>, rect: Rect, corner: Point, middle: f64) {
    let (fill, border, ink) = COLOURS[look.step.colour % COLOURS.len()];
    let top = corner.y + rect.y;
    let _ = writeln!(
        out,
        "<g class=\"step\"><title>{} {}</title>{}<text class=\"id\" x=\"{middle:.1}\" y=\"{:.1}\">{}</text>\
         <text class=\"component\" x=\"{middle:.1}\" y=\"{:.1}\" style=\"fill:{ink}\">{}</text></g>",
        escaped(&look.step.id),
        escaped(&look.step.component),
        rectangle(rect, corner, &format!("rx=\"7\" fill=\"{fill}\" stroke=\"{border}\"")),
        top + HEAD / 2.0 - 4.0,
        escaped(&look.id),
        top + HEAD / 2.0 + TEXT_SIZE + 2.0,
        escaped(&look.component),
    );
    if let Some((inner, at)) = &look.inner {
        let at = Point { x: corner.x + rect.x + at.x, y: top + at.y };
        let panel = Rect { x: 0.0, y: 0.0, width: inner.width, height: inner.height };
        let _ = writeln!(out, "{}", rectangle(panel, at, "rx=\"5\" class=\"inner\""));
        group(out, inner, at);
    }
}

fn label(out: &mut String, line: &Arrow<'_>, corner: Point) {
    let rect = line.label;
    let middle = corner.x + rect.middle();
    let class = if line.edge.conditional { "label conditional" } else { "label" };
    let all = escaped(&line.edge.labels.join("\n"));
    let _ = write!(out, "<g class=\"{class}\"><title>{all}</title>{}", rectangle(rect, corner, "rx=\"3\""));
    let mut y = corner.y + rect.y + LINE - 2.5;
    for word in &line.words {
        let _ = write!(out, "<text x=\"{middle:.1}\" y=\"{y:.1}\">{}</text>", escaped(word));
        y += LINE;
    }
    out.push_str("</g>\n");
}

fn rectangle(rect: Rect, corner: Point, rest: &str) -> String {
    let (x, y) = (corner.x + rect.x, corner.y + rect.y);
    format!("<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\" {rest}/>", rect.width, rect.height)
}

/// A curve through all points that is vertical at each of them.
fn curve(points: &[Point], corner: Point) -> String {
    let points: Vec<Point> =
        points.iter().map(|point| Point { x: point.x + corner.x, y: point.y + corner.y }).collect();
    let mut d = String::new();
    if let Some(first) = points.first() {
        let _ = write!(d, "M{:.1} {:.1}", first.x, first.y);
    }
    for pair in points.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        let middle = f64::midpoint(from.y, to.y);
        let _ = write!(d, "C{:.1} {middle:.1} {:.1} {middle:.1} {:.1} {:.1}", from.x, to.x, to.x, to.y);
    }
    d
}
