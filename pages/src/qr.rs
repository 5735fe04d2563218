//! A link as a picture that a phone's camera reads: a QR code (ISO/IEC 18004), as SVG.

use std::fmt::Write;

use qrcode::{Color, EcLevel, QrCode};

const TEMPLATE: &str = include_str!("../waiting/qr.svg");
/// The quiet zone that the standard asks for, in modules.
const QUIET: usize = 4;

/// `text` as a QR code; `None` if it is too long for one. On a screen nothing is worn off: the lowest level of correction leaves the
/// largest modules.
#[must_use]
pub fn qr_code(text: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let width = code.width();
    let colors = code.to_colors();
    let mut path = String::with_capacity(colors.len() * 3);
    for (y, row) in colors.chunks(width).enumerate() {
        let mut x = 0;
        for run in row.chunk_by(|one, next| one == next) {
            if run[0] == Color::Dark {
                // A run of dark modules is one stroke.
                let _ = write!(path, "M{} {}.5h{}", x + QUIET, y + QUIET, run.len());
            }
            x += run.len();
        }
    }
    let side = (width + 2 * QUIET).to_string();
    Some(TEMPLATE.trim_end().replace("{{side}}", &side).replace("{{path}}", &path))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The strokes drawn back into modules are those of the code, in their quiet zone.
    #[test]
    fn the_picture_is_the_code() {
        let link = format!("https://wait.example/w/drop#move={}", "x".repeat(190));
        let svg = qr_code(&link).unwrap();
        let code = QrCode::with_error_correction_level(&link, EcLevel::L).unwrap();
        let side = code.width() + 2 * QUIET;
        assert!(svg.contains(&format!("viewBox=\"0 0 {side} {side}\"")), "{svg}");
        let path = svg.split("stroke=\"#000\" d=\"").nth(1).unwrap().split('"').next().unwrap();
        let mut drawn = vec![vec![Color::Light; side]; side];
        for stroke in path.split('M').skip(1) {
            let (x, rest) = stroke.split_once(' ').unwrap();
            let (y, length) = rest.split_once(".5h").unwrap();
            let [x, y, length]: [usize; 3] = [x, y, length].map(|number| number.parse().unwrap());
            drawn[y][x..x + length].fill(Color::Dark);
        }
        for (y, row) in drawn.iter().enumerate() {
            for (x, color) in row.iter().enumerate() {
                let inside = |n: usize| (QUIET..side - QUIET).contains(&n);
                let of_code = inside(x) && inside(y);
                let due = if of_code { code[(x - QUIET, y - QUIET)] } else { Color::Light };
                assert_eq!(*color, due, "{x} {y}");
            }
        }
        assert!(svg.len() < 16_000, "{} bytes", svg.len());
    }

    #[test]
    fn what_is_too_long_has_no_picture() {
        assert!(qr_code(&"x".repeat(3_000)).is_none());
    }
}
